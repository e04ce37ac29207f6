<?php
// PHP needs no first line and no mode: the conf names php-cgi for files that end so.
header('Content-Type: text/plain; charset=utf-8');
setcookie('php', '1', ['httponly' => true, 'samesite' => 'Lax']);
echo 'Hello from PHP ', PHP_VERSION, ', ', htmlspecialchars($_GET['name'] ?? 'whoever you are'), ".\n";

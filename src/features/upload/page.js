{
  const at = id => document.getElementById(id);
  const form = at("form"), drop = at("drop"), input = at("files"), jobs = at("jobs"), stored = at("stored"), said = at("said");
  const largest = Number(form.dataset.largest), waiting = [], most = 2;
  let running = 0;

  const make = (name, className, text = "") => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };
  const size = bytes => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let at = 0;
    while (bytes >= 999.5 && at < units.length - 1) bytes /= 1024, at++;
    return `${at && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
  };
  const left = seconds => {
    if (seconds < 60) return `${Math.ceil(seconds)} s left`;
    if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
    return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min left`;
  };
  const reasons = {
    400: "The server could not read this upload.", 401: "You are not logged in.", 403: "You may not upload here.",
    408: "The connection was too slow.", 409: "A file of this name is there already.", 413: "This file is too large.",
    415: "Files of this type are not taken.", 429: "Too many requests; try again later.", 503: "The server is busy; try again later.",
    507: "There is no room for this file.",
  };

  // Whoever works by keyboard goes on where the thing was that has gone.
  const remove = thing => {
    const next = thing.nextElementSibling || thing.previousElementSibling;
    const holds = thing.contains(document.activeElement);
    thing.remove();
    if (holds) (next && next.querySelector("button") || input).focus();
  };

  const add = file => {
    const item = document.createElement("li"), bar = make("progress", ""), state = make("span", "state", "Waiting"), stop = make("button", "", "Cancel");
    stop.type = "button";
    stop.setAttribute("aria-label", `Cancel ${file.name}`);
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    item.append(make("span", "name", file.name), stop, bar, state);
    jobs.append(item);
    const job = {file, item, bar, state, stop};
    stop.addEventListener("click", () => job.over ? remove(item) : cancel(job));
    if (largest && file.size > largest) return end(job, false, `This file is larger than ${size(largest)}.`);
    waiting.push(job);
    next();
  };

  const next = () => {
    while (running < most && waiting.length) {
      running++;
      send(waiting.shift());
    }
  };

  const cancel = job => {
    const place = waiting.indexOf(job);
    if (place >= 0) waiting.splice(place, 1);
    if (job.request) job.request.abort();
    else end(job, null, "Cancelled");
  };

  const send = job => {
    const request = job.request = new XMLHttpRequest(), body = new FormData();
    let since = performance.now(), before = 0, speed = 0;
    body.append(input.name, job.file);
    request.open("POST", location.pathname);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", event => {
      const now = performance.now(), seconds = (now - since) / 1000;
      job.bar.value = event.loaded / event.total;
      if (event.loaded >= event.total) {
        job.state.textContent = "Storing";
        return;
      }
      if (seconds >= 0.25) {
        const current = (event.loaded - before) / seconds;
        speed = speed ? speed * 0.7 + current * 0.3 : current;
        since = now;
        before = event.loaded;
      }
      const rest = speed ? ` · ${size(speed)}/s · ${left((event.total - event.loaded) / speed)}` : "";
      job.state.textContent = `${size(event.loaded)} of ${size(event.total)}${rest}`;
    });
    const over = (good, text) => {
      running--;
      end(job, good, text);
      next();
    };
    request.addEventListener("load", () => {
      if (request.status >= 300) return over(false, reasons[request.status] || `The server answered ${request.status}.`);
      let files = [];
      try { files = JSON.parse(request.responseText).files || []; } catch { /* A script behind the upload may answer anything. */ }
      files.forEach(show);
      over(true, `Stored · ${size(job.file.size)}`);
    });
    request.addEventListener("error", () => over(false, "The connection broke. Nothing was stored."));
    request.addEventListener("abort", () => over(null, "Cancelled"));
    request.send(body);
  };

  const end = (job, good, text) => {
    job.over = true;
    job.item.className = good ? "done" : good === null ? "stopped" : "failed";
    job.bar.hidden = true;
    job.state.textContent = text;
    job.stop.textContent = "Dismiss";
    job.stop.setAttribute("aria-label", `Dismiss ${job.file.name}`);
    said.textContent = `${job.file.name}: ${text}`;
  };

  const show = file => {
    if (!stored) return;
    for (const row of stored.rows) if (row.cells[0].textContent === file.name) row.remove();
    const row = make("tr", ""), head = make("th", ""), link = make("a", "", file.name), day = make("td", "");
    head.scope = "row";
    link.href = file.url;
    head.append(link);
    day.append(make("time", "", new Date().toISOString().slice(0, 10)));
    row.append(head, make("td", "", size(file.size)), day);
    if ("delete" in stored.dataset) {
      const cell = make("td", ""), ask = make("form", "delete"), button = make("button", "", "Delete");
      ask.method = "post";
      button.name = "delete";
      button.value = file.name;
      button.setAttribute("aria-label", `Delete ${file.name}`);
      ask.append(button);
      cell.append(ask);
      row.append(cell);
    }
    stored.prepend(row);
    if (at("empty")) at("empty").remove();
  };

  if (stored) stored.addEventListener("submit", async event => {
    event.preventDefault();
    const row = event.target.closest("tr"), link = row.cells[0].firstElementChild;
    if (!confirm(`Delete ${link.textContent}?`)) return;
    const answer = await fetch(link.href, {method: "DELETE"}).catch(() => null);
    if (!answer || !answer.ok && answer.status !== 404) return alert("The file could not be deleted.");
    said.textContent = `${link.textContent}: Deleted`;
    remove(row);
  });

  document.documentElement.classList.add("live");
  document.querySelector(".drag").hidden = false;
  at("send").hidden = true;
  input.addEventListener("change", () => {
    [...input.files].forEach(add);
    input.value = "";
  });
  form.addEventListener("submit", event => event.preventDefault());
  let depth = 0;
  addEventListener("dragenter", event => {
    if (!event.dataTransfer.types.includes("Files")) return;
    depth++;
    drop.classList.add("over");
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) drop.classList.remove("over");
  });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    depth = 0;
    drop.classList.remove("over");
    [...event.dataTransfer.files].forEach(add);
  });
  addEventListener("beforeunload", event => {
    if (running || waiting.length) event.preventDefault();
  });
}

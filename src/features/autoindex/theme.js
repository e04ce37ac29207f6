{
  const box = document.getElementById("filter"), count = document.getElementById("count");
  const rows = [...document.querySelectorAll("tbody tr:not(.up)")];
  if (rows.length > 1) {
    const all = count.textContent;
    const names = rows.map(row => row.querySelector("span").textContent.toLowerCase());
    const filter = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, at) => {
        row.hidden = !words.every(word => names[at].includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${rows.length} shown` : all;
    };
    box.hidden = false;
    box.addEventListener("input", filter);
    document.addEventListener("keydown", event => {
      if (event.key === "/" && document.activeElement !== box && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        box.focus();
      } else if (event.key === "Escape" && document.activeElement === box) {
        box.value = "";
        filter();
        box.blur();
      }
    });
    filter();
  }
}

// Mission Control: what pages do with scripts on. Without this file everything still works.
"use strict";

// --- asking before an action: the same page that a link leads to, in a dialog ----------------

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-ask]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const dialog = document.getElementById("dialog");
  try {
    const answer = await fetch(link.href, { headers: { "HX-Request": "true" }, redirect: "manual" });
    if (!answer.ok) throw new Error(String(answer.status));
    dialog.innerHTML = await answer.text();
    dialog.returnTo = link;
    dialog.showModal();
  } catch {
    window.location.assign(link.href);
  }
});

document.addEventListener("click", (event) => {
  const dialog = document.getElementById("dialog");
  if (!dialog || !dialog.open) return;
  if (event.target === dialog || event.target.closest("#dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  }
});

// --- a message is dismissed in place -----------------------------------------------------------

document.addEventListener("click", (event) => {
  const close = event.target.closest(".message .close");
  if (!close) return;
  event.preventDefault();
  close.closest(".message").remove();
});

// --- when a job runs is shown while its schedule is typed ---------------------------------------

(() => {
  let timer = 0;
  let asked = 0;
  const field = (form, name) => form.querySelector(`[name="${name}"], [name="field.cron_${name}"]`);
  const shown = (form, expression) => {
    const present = document.getElementById("cron-preview");
    if (present) return present;
    const made = document.createElement("div");
    made.id = "cron-preview";
    made.setAttribute("aria-live", "polite");
    (expression.closest(".control") || form).append(made);
    return made;
  };
  const ask = async (form, expression, dst) => {
    asked += 1;
    const mine = asked;
    const address = new URL(form.dataset.cronPreview, window.location.href);
    address.searchParams.set("expression", expression.value);
    if (dst) address.searchParams.set("dst", dst.value);
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" } });
      if (answer.ok && mine === asked) shown(form, expression).innerHTML = await answer.text();
    } catch {
      // it is shown with the next letter, or when the form is sent
    }
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-cron-preview]");
    if (!form) return;
    const expression = field(form, "expression") || field(form, "schedule");
    const dst = field(form, "dst");
    if (event.target !== expression && event.target !== dst) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, 150, form, expression, dst);
  });
})();

// --- shift-click on a title sorts by that column too -----------------------------------------

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.sort");
  if (!link || !event.shiftKey) return;
  event.preventDefault();
  const present = new URL(window.location.href);
  const key = link.dataset.sort;
  const parts = (present.searchParams.get("sort") || "").split(",").filter(Boolean);
  const index = parts.findIndex((part) => part.replace(/^-/, "") === key);
  if (index < 0) parts.push(key);
  else parts[index] = parts[index].startsWith("-") ? key : `-${key}`;
  present.searchParams.set("sort", parts.join(","));
  present.searchParams.delete("page");
  window.location.assign(present);
});

// --- what only some pages need comes with the first of them ------------------------------------

(() => {
  const asked = new Set();
  const add = (kind, addresses, make) => {
    for (const address of (addresses || "").split(" ").filter(Boolean)) {
      if (asked.has(address)) continue;
      asked.add(address);
      document.head.append(Object.assign(document.createElement(kind), make(address)));
    }
  };
  const bring = () => {
    for (const place of document.querySelectorAll("[data-scripts]")) {
      add("link", place.dataset.styles, (href) => ({ rel: "stylesheet", href }));
      add("script", place.dataset.scripts, (src) => ({ src, async: false })); // in their order
    }
  };
  document.addEventListener("htmx:after:swap", bring);
  bring();
})();

// --- ticking rows: with shift all between two; how many are ticked is said ---------------------

(() => {
  let last = null;
  const form = () => document.getElementById("bulk");
  const boxes = () => [...document.querySelectorAll('input[form="bulk"][name="id"]')];
  const tell = () => {
    if (!form()) return;
    const found = boxes();
    const ticked = found.filter((box) => box.checked).length;
    const all = document.getElementById("tick-all").checked;
    const said = document.getElementById("ticked");
    said.textContent = ticked && !all ? `${ticked} ticked, or take` : said.dataset.none;
    const page = document.getElementById("tick-page");
    page.hidden = false;
    page.firstElementChild.checked = ticked > 0 && ticked === found.length;
    page.firstElementChild.indeterminate = ticked > 0 && ticked < found.length;
  };
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!target.matches("input[type=checkbox]")) return;
    if (target.closest("#tick-page")) {
      for (const box of boxes()) box.checked = target.checked;
    } else if (target.matches('[form="bulk"][name="id"]')) {
      const found = boxes();
      const from = found.findIndex((box) => box.id === last);
      if (event.shiftKey && from >= 0) {
        const to = found.indexOf(target);
        for (const box of found.slice(Math.min(from, to), Math.max(from, to) + 1)) {
          box.checked = target.checked;
        }
      }
      last = target.id;
    }
    tell();
  });
  document.addEventListener("htmx:after:swap", tell);
  document.addEventListener("DOMContentLoaded", tell);
  window.addEventListener("pageshow", tell); // the browser may have kept what was ticked
})();

// --- the verdict: what nobody has said for so long says nothing of the present ------------------

(() => {
  const STALE = 15000; // milliseconds
  let shown = "";
  let since = Date.now();
  const judge = () => {
    const strip = document.getElementById("verdict");
    if (!strip) return;
    if (strip.dataset.shown !== shown) {
      shown = strip.dataset.shown;
      since = Date.now();
    }
    const age = 1000 * Number(strip.dataset.age) + Date.now() - since;
    strip.toggleAttribute("data-stale", age > STALE);
  };
  judge();
  window.setInterval(judge, 1000);
})();

// --- the box in the bar, by keyboard: Ctrl K, or / where nothing is typed -------------------

document.addEventListener("keydown", (event) => {
  const jump = document.getElementById("jump");
  const typing = event.target.closest("input, textarea, select, dialog");
  const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
  const asked = slash || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey));
  if (!jump || !asked || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  jump.focus();
  jump.select();
});

// --- suggestions are for the word that is being typed, not for the whole search ---------------

document.addEventListener("input", (event) => {
  const box = event.target;
  if (!box.list || box.list.id !== "suggestions") return;
  const begun = box.value.replace(/[^\s(-]*$/, "");
  for (const option of box.list.options) {
    option.dataset.word ??= option.value;
    option.value = begun + option.dataset.word;
  }
});

// --- live: the store is watched by the server; a page then asks for itself again --------------

(() => {
  const pulse = document.getElementById("pulse");
  const button = document.getElementById("live-state");
  const live = () => document.querySelector("#live[data-live]");
  if (!pulse || !live()) return;
  const streams = pulse.hasAttribute("hx-sse:connect"); // else the page asks by the clock
  let paused = sessionStorage.getItem("rocketjob-paused") === "yes";
  let failures = 0;
  let connected = false;
  let shownAt = new Date();

  const clock = () => {
    const options = { hour12: false, timeZone: pulse.dataset.zone }; // as all times of the page
    try {
      return shownAt.toLocaleTimeString([], options);
    } catch {
      return shownAt.toLocaleTimeString([], { hour12: false }); // the browser has no such zone
    }
  };
  const say = (state, text, title) => {
    button.hidden = false;
    button.dataset.state = state;
    button.title = title;
    button.setAttribute("aria-pressed", String(paused));
    button.lastElementChild.textContent = text;
  };
  const tell = () => {
    if (paused) say("paused", "paused", `Showing ${clock()}. Press to go on.`);
    else if (failures) say("lost", `reconnecting, showing ${clock()}`, "The connection is lost");
    else say("live", "live", "Updated as things change. Press to pause.");
  };
  const refresh = () => {
    const dialog = document.getElementById("dialog");
    if (paused || document.hidden || (dialog && dialog.open) || !live()) return;
    htmx.trigger(live(), "refresh");
  };

  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("rocketjob-paused", paused ? "yes" : "no");
    tell();
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  pulse.addEventListener("changed", refresh);
  pulse.addEventListener("away", refresh);
  document.addEventListener("htmx:sse:after:connection", () => {
    failures = 0;
    connected = true;
    tell();
  });
  for (const name of ["htmx:sse:error", "htmx:sse:close"]) {
    document.addEventListener(name, () => {
      failures += 1;
      connected = false;
      tell();
    });
  }
  document.addEventListener("htmx:after:swap", () => {
    shownAt = new Date();
    tell();
  });
  window.setInterval(() => {
    if (connected) return; // else the stream does not come: ask as often as people look
    if (streams) failures += 1;
    tell();
    refresh();
  }, 5000);
  if (!streams) tell();
})();

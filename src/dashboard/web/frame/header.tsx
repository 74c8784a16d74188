import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Dialog, Icon } from "../components/index.ts";
import { liveSources, liveState } from "../live/index.ts";
import { linkTo, place } from "../router.ts";
import { entries, routeOf } from "../routes.ts";
import { chooseTheme, theme, themes } from "../theme.ts";
import { liveStatus } from "./live-status.ts";
import { NamespaceMenu } from "./namespace-menu.tsx";
import { openHelp } from "./shortcuts.tsx";
import { UserMenu } from "./user-menu.tsx";

export function Header(): JSX.Element {
  const current = routeOf(place.value.path)?.route.entry;
  return (
    <header class="header">
      <a class="brand" href={linkTo([])} aria-label="Serin: overview">
        <svg
          width="20"
          height="20"
          viewBox="0 0 20 20"
          aria-hidden="true"
          fill="none"
          stroke="currentColor"
          stroke-width="1.8"
          stroke-linecap="round"
          stroke-linejoin="round"
        >
          <path d="M2 13c3.5 3 9.5 2.5 11.5-1.5S12 3.5 15 3.5h3l-2.200 2.300M2 13c2-1 3.5-3.5 5.5-5.5M9 15.300V18" />
        </svg>
        <span class="brand-name">Serin</span>
      </a>
      <nav class="nav" aria-label="Views">
        {entries.map(({ entry, title }) => (
          <a
            key={entry}
            href={linkTo(entry === "overview" ? [] : [entry])}
            aria-current={entry === current ? "page" : undefined}
          >
            {title}
          </a>
        ))}
      </nav>
      <div class="header-end">
        <LiveStatus />
        <NamespaceMenu />
        <ThemeButton />
        <button
          type="button"
          class="button wide-only"
          data-kind="quiet"
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts (?)"
          onClick={openHelp}
        >
          <Icon name="help" />
        </button>
        <UserMenu />
      </div>
    </header>
  );
}

/** The navigation in a narrow window, which is below the view. */
export function BottomNavigation(): JSX.Element {
  const [open, setOpen] = useState(false);
  const current = routeOf(place.value.path)?.route.entry;
  const first = entries.slice(0, 4);
  const rest = entries.slice(4);
  return (
    <>
      <nav class="nav-bottom" aria-label="Views, below">
        {first.map(({ entry, title }) => (
          <a
            key={entry}
            href={linkTo(entry === "overview" ? [] : [entry])}
            aria-current={entry === current ? "page" : undefined}
          >
            <Icon name={entry as "overview"} />
            {title}
          </a>
        ))}
        <button
          type="button"
          aria-haspopup="dialog"
          aria-current={rest.some(({ entry }) => entry === current) ? "true" : undefined}
          onClick={() => setOpen(true)}
        >
          <Icon name="more" />
          More
        </button>
      </nav>
      {open ? (
        <Dialog title="More views" onClose={() => setOpen(false)}>
          <nav class="more-list" aria-label="More views">
            {rest.map(({ entry, title }) => (
              <a
                key={entry}
                href={linkTo([entry])}
                aria-current={entry === current ? "page" : undefined}
                onClick={() => setOpen(false)}
              >
                {title}
              </a>
            ))}
          </nav>
        </Dialog>
      ) : undefined}
    </>
  );
}

function LiveStatus(): JSX.Element {
  const { kind, text } = liveStatus(liveState.value, liveSources.value);
  return (
    <span class="live" role="status" data-kind={kind}>
      {kind === "idle" ? undefined : <span class="live-dot" aria-hidden="true" />}
      <span class="live-text" title={text}>
        {text}
      </span>
    </span>
  );
}

function ThemeButton(): JSX.Element {
  const at = themes.indexOf(theme.value);
  const next = themes[(at + 1) % themes.length] ?? "auto";
  const words = { auto: "system", light: "light", dark: "dark" };
  return (
    <button
      type="button"
      class="button"
      data-kind="quiet"
      aria-label={`Colours: ${words[theme.value]}. Change to ${words[next]}`}
      title={`Colours: ${words[theme.value]}`}
      onClick={() => chooseTheme(next)}
    >
      <Icon name={theme.value} />
    </button>
  );
}

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Dialog } from "../components/index.ts";
import { go, linkTo } from "../router.ts";
import { entries } from "../routes.ts";
import { chooseTheme, shownTheme } from "../theme.ts";
import { chooseShortcuts, shortcutsOn } from "./shortcut-choice.ts";

const helpShown = signal(false);
/** How long a second key may follow `g`. */
const sequenceMs = 1_200;

export function openHelp(): void {
  helpShown.value = true;
}

/** Keyboard shortcuts. They do nothing in text fields and in open dialogs, or if the user has switched them off. */
export function useShortcuts(): void {
  useEffect(() => {
    let goingUntil = 0;
    const onKeyDown = (event: KeyboardEvent): void => {
      if (!shortcutsOn.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const { target, key } = event;
      if (
        target instanceof HTMLElement &&
        (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
      )
        return;
      if (document.querySelector("dialog[open]") !== null) return;
      if (performance.now() < goingUntil) {
        goingUntil = 0;
        const found = entries.find((entry) => entry.key === key);
        if (found === undefined) return;
        event.preventDefault();
        go(linkTo(found.entry === "overview" ? [] : [found.entry]));
        return;
      }
      if (key === "g") goingUntil = performance.now() + sequenceMs;
      if (key === "?") openHelp();
      if (key === "t") chooseTheme(shownTheme.value === "dark" ? "light" : "dark");
      if (key !== "/") return;
      const field = document.querySelector<HTMLInputElement>("#content input[type=search]");
      if (field === null) return;
      event.preventDefault();
      field.focus();
      field.select();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
}

export function ShortcutHelp(): JSX.Element | null {
  if (!helpShown.value) return null;
  return (
    <Dialog title="Keyboard shortcuts" onClose={() => void (helpShown.value = false)}>
      <dl class="pairs">
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>Filter the view; Escape clears the filter</dd>
        {entries.map(({ entry, title, key }) => (
          <>
            <dt key={`${entry}-key`}>
              <kbd>g</kbd> <kbd>{key}</kbd>
            </dt>
            <dd key={entry}>{title}</dd>
          </>
        ))}
        <dt>
          <kbd>t</kbd>
        </dt>
        <dd>Light or dark</dd>
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>This help</dd>
      </dl>
      <label class="row">
        <input
          type="checkbox"
          checked={shortcutsOn.value}
          onChange={(event) => chooseShortcuts(event.currentTarget.checked)}
        />
        Use single keys as shortcuts
      </label>
    </Dialog>
  );
}

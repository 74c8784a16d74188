import { signal, type ReadonlySignal } from "@preact/signals";
import { storeChoice, storedChoice } from "./stored-choice.ts";

export const themes = ["auto", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const storageKey = "serin.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
/** Whether a contrast theme of the system is active. It sets the background. */
const forced = matchMedia("(forced-colors: active)");

const chosen = signal<Theme>(storedTheme());
const shown = signal<"light" | "dark">("light");

/** The user's choice. `auto` follows the system. */
export const theme: ReadonlySignal<Theme> = chosen;
/** The theme that is shown. Canvases read their colours again when it changes. */
export const shownTheme: ReadonlySignal<"light" | "dark"> = shown;

function storedTheme(): Theme {
  const stored = storedChoice(storageKey);
  return themes.find((name) => name === stored) ?? "auto";
}

function apply(): void {
  const ofSystem = dark.matches ? "dark" : "light";
  const resolved = chosen.value === "auto" || forced.matches ? ofSystem : chosen.value;
  document.documentElement.dataset["theme"] = resolved;
  shown.value = resolved;
}

export function chooseTheme(next: Theme): void {
  chosen.value = next;
  storeChoice(storageKey, next);
  apply();
}

/** Applies the theme from now on. Must be called before the first paint, so that no wrong theme flashes. */
export function startTheme(): void {
  apply();
  dark.addEventListener("change", apply);
  forced.addEventListener("change", apply);
}

/** The present colour of a custom property as `rgb(…)`, for canvases. */
export function resolvedColor(property: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${property})`;
  // With forced colours, the browser would return the colour of text for every property.
  probe.style.setProperty("forced-color-adjust", "none");
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

import { signal, type ReadonlySignal } from "@preact/signals";
import { storeChoice, storedChoice } from "./stored-choice.ts";

export const themes = ["auto", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const storageKey = "serin.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = signal<Theme>(storedTheme());
const shown = signal<"light" | "dark">("light");

/** The user's choice. `auto` follows the system. */
export const theme: ReadonlySignal<Theme> = chosen;
/** The shown theme. Canvases read their colours again when it changes. */
export const shownTheme: ReadonlySignal<"light" | "dark"> = shown;

function storedTheme(): Theme {
  const stored = storedChoice(storageKey);
  return themes.find((name) => name === stored) ?? "auto";
}

function apply(): void {
  const resolved = chosen.value === "auto" ? (dark.matches ? "dark" : "light") : chosen.value;
  document.documentElement.dataset["theme"] = resolved;
  shown.value = resolved;
}

export function chooseTheme(next: Theme): void {
  chosen.value = next;
  storeChoice(storageKey, next);
  apply();
}

/** Must be called before the first paint, so that nothing flashes. */
export function startTheme(): void {
  apply();
  dark.addEventListener("change", apply);
}

/** The current colour of a custom property as `rgb(…)`, for canvases. */
export function resolvedColor(property: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

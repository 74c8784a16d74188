import { signal, type ReadonlySignal } from "@preact/signals";

const storageKey = "serin.shortcuts";
const chosen = signal(storedChoice());

/** Whether single keys act as shortcuts. A person who speaks to the computer may want to switch them off. */
export const shortcutsOn: ReadonlySignal<boolean> = chosen;

function storedChoice(): boolean {
  try {
    return localStorage.getItem(storageKey) !== "off";
  } catch {
    return true;
  }
}

export function chooseShortcuts(on: boolean): void {
  chosen.value = on;
  try {
    localStorage.setItem(storageKey, on ? "on" : "off");
  } catch {
    // Without storage, the choice lasts only while the page is open.
  }
}

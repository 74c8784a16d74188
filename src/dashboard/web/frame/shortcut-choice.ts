import { signal, type ReadonlySignal } from "@preact/signals";
import { storeChoice, storedChoice } from "../stored-choice.ts";

const storageKey = "serin.shortcuts";
const chosen = signal(storedChoice(storageKey) !== "off");

/** Whether single keys are shortcuts. Users of speech input may want to switch them off. */
export const shortcutsOn: ReadonlySignal<boolean> = chosen;

export function chooseShortcuts(on: boolean): void {
  chosen.value = on;
  storeChoice(storageKey, on ? "on" : "off");
}

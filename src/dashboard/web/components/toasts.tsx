import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Icon } from "./icon.tsx";

interface Toast {
  readonly id: number;
  readonly tone: "good" | "bad" | "info";
  readonly text: string;
}

const shown = signal<readonly Toast[]>([]);
const maxShown = 4;
const shownForMs = 8_000;
let lastId = 0;

/** Shows a message for some seconds. A failure stays until the user closes it. */
export function toast(tone: Toast["tone"], text: string): void {
  lastId += 1;
  const id = lastId;
  shown.value = [...shown.value, { id, tone, text }].slice(-maxShown);
  if (tone !== "bad") setTimeout(() => close(id), shownForMs);
}

function close(id: number): void {
  shown.value = shown.value.filter((other) => other.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown.value.map(({ id, tone, text }) => (
        <div key={id} class="toast" data-tone={tone}>
          <span>{text}</span>
          <button
            type="button"
            class="button"
            data-kind="quiet"
            aria-label="Close the message"
            onClick={() => close(id)}
          >
            <Icon name="close" size={12} />
          </button>
        </div>
      ))}
    </div>
  );
}

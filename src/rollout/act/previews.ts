import type { Clock } from "../../base/index.ts";

/**
 * What the server would store. `stored` is undefined if it would remove the field, or if the server refuses the dry
 * run.
 */
export interface Preview {
  readonly stored: unknown;
  readonly isRefusal: boolean;
}

interface KeptPreview extends Preview {
  readonly characters: number;
  readonly atMs: number;
}

/** The maximum number of kept answers. Each stuck undo needs the answers about two lists again and again. */
const maxPreviews = 1024;
/**
 * The maximum size of all kept answers with their keys, in characters of JSON. A list may be as large as its object.
 */
const maxCharacters = 16 << 20;
/**
 * A refusal is kept only this long, because somebody may give the engine the missing right meanwhile, or mend the
 * webhook.
 */
const refusalMs = 60_000;

export class Previews {
  readonly #clock: Pick<Clock, "steadyMs">;
  readonly #kept = new Map<string, KeptPreview>();
  #characters = 0;

  constructor(clock: Pick<Clock, "steadyMs">) {
    this.#clock = clock;
  }

  get(key: string): Preview | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (kept.isRefusal && this.#clock.steadyMs() - kept.atMs >= refusalMs) {
      this.#drop(key);
      return undefined;
    }
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }

  set(key: string, { stored, isRefusal }: Preview): void {
    this.#drop(key);
    const characters = key.length + (stored === undefined ? 0 : JSON.stringify(stored).length);
    this.#kept.set(key, { stored, isRefusal, characters, atMs: this.#clock.steadyMs() });
    this.#characters += characters;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= maxPreviews && this.#characters <= maxCharacters) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#characters -= this.#kept.get(key)?.characters ?? 0;
    this.#kept.delete(key);
  }
}

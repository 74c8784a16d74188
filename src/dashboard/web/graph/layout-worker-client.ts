import type { LayoutRequest, Places } from "./arrange.ts";
import type { LayoutResult, LayoutTask } from "./layout.worker.ts";

/**
 * Arranges graphs in a worker, or without workers in the main thread. Of several requests, only the last gets an
 * answer.
 */
export class LayoutClient {
  readonly #answer: (places: Places) => void;
  #worker: Worker | undefined;
  #number = 0;
  #waiting: LayoutTask | undefined;

  constructor(answer: (places: Places) => void) {
    this.#answer = answer;
  }

  arrange(request: LayoutRequest): void {
    this.#number += 1;
    const task: LayoutTask = { number: this.#number, request };
    this.#waiting = task;
    this.#worker ??= this.#start();
    if (this.#worker === undefined) void this.#arrangeHere(task);
    else this.#worker.postMessage(task);
  }

  close(): void {
    this.#number += 1;
    this.#worker?.terminate();
  }

  #start(): Worker | undefined {
    try {
      const worker = new Worker(new URL("layout.js", document.baseURI), { type: "module" });
      worker.addEventListener("message", ({ data }: MessageEvent<LayoutResult>) => this.#receive(data));
      worker.addEventListener("error", () => {
        worker.terminate();
        const task = this.#waiting;
        if (task !== undefined) void this.#arrangeHere(task);
      });
      return worker;
    } catch {
      return undefined;
    }
  }

  async #arrangeHere(task: LayoutTask): Promise<void> {
    const { arrange } = await import("./arrange.ts");
    this.#receive({ number: task.number, places: arrange(task.request) });
  }

  #receive({ number, places }: LayoutResult): void {
    if (number !== this.#number) return;
    this.#waiting = undefined;
    this.#answer(places);
  }
}

import { arrange, type LayoutRequest, type Places } from "./arrange.ts";

/** A request with a number. The answer repeats the number, so that outdated answers are dropped. */
export interface LayoutTask {
  readonly number: number;
  readonly request: LayoutRequest;
}

export interface LayoutResult {
  readonly number: number;
  readonly places: Places;
}

self.addEventListener("message", ({ data }: MessageEvent<LayoutTask>) => {
  const result: LayoutResult = { number: data.number, places: arrange(data.request) };
  self.postMessage(result);
});

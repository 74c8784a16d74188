import { arrange, type LayoutRequest, type Places } from "./arrange.ts";

/** A request. The answer repeats its number, so that answers to earlier requests can be dropped. */
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

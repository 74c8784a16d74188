import { arrange, type LayoutRequest, type Places } from "./arrange.ts";

/** Of a request and its answer the same number: answers to what is outdated are thrown away. */
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

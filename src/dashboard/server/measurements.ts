import type { SeriesAnswer, SeriesRequest } from "../../api/dashboard/index.ts";
import type { ViewReader } from "./view-source.ts";

/** The measurements over time, for `GET /api/series`. */
export interface Measurements {
  /**
   * The requested series, limited to what the reader may see. The request was checked: a known measure, `points` within
   * its bounds, `fromMs` before `toMs`. Throws a user error (`forbidden`, `not-found`), or a transient one if the store
   * is unavailable. Nobody needs the result once the signal is aborted.
   */
  series(request: SeriesRequest, reader: ViewReader, signal?: AbortSignal): Promise<SeriesAnswer>;
}

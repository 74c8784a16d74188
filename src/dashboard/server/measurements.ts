import type { SeriesAnswer, SeriesRequest } from "../../api/dashboard/index.ts";
import type { ViewReader } from "./view-source.ts";

export interface Measurements {
  /**
   * Returns the requested series, limited to what the reader may see. The caller has checked the request: it has a
   * known measure, a valid number of points, and a `fromMs` before `toMs`. Throws a user error (`forbidden` or
   * `not-found`), or a transient one if the store is unavailable. After the signal is aborted, nobody needs the result.
   */
  series(request: SeriesRequest, reader: ViewReader, signal?: AbortSignal): Promise<SeriesAnswer>;
}

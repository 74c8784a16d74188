import type { SeriesAnswer, SeriesRequest } from "../../api/dashboard/index.ts";
import type { ViewReader } from "./view-source.ts";

/** What was measured over time; answers `GET /api/series`. */
export interface Measurements {
  /**
   * The series that is asked for, of what the reader may see. The request was checked: a known measure, `points` within its bounds,
   * `fromMs` before `toMs`. Throws a user error (`forbidden`, `not-found`) or a transient one where the store is away.
   * Nobody waits for it any more once the signal is aborted.
   */
  series(request: SeriesRequest, reader: ViewReader, signal?: AbortSignal): Promise<SeriesAnswer>;
}

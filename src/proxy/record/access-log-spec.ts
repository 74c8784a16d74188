import type { ExchangeRecord } from "./exchange-record.ts";
import type { CaptureIndex } from "./capture-index.ts";
import type { LogFormat } from "./log-format.ts";

export interface AccessLogSpec {
  readonly path: string;
  readonly format: LogFormat;
  /** Receives records if the log goes to a service and not to a file. */
  readonly emit?: (record: ExchangeRecord, capture: CaptureIndex) => void;
  /** Whether the log accepts a record. Undefined means that it accepts every record. */
  readonly wants: ((record: ExchangeRecord, capture: CaptureIndex) => boolean) | undefined;
  /** The headers that must be captured for the format and the filter. */
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

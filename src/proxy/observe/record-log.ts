import { AccessLog, type AccessLogOptions } from "../../telemetry/index.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { KeptRecord } from "./kept-record.ts";
import type { LogFormat } from "./log-format.ts";

type Format = Pick<LogFormat, "line">;

/** What waits to become a line. */
interface Waiting {
  readonly record: KeptRecord;
  format: Format;
  capture: CaptureIndex;
}

/** Lines that are written together. */
const maxWaiting = 64;

/**
 * An access log of requests. Records are copied and become lines many at a time: between two requests, all that a line needs (code as
 * data) has left the processor's caches, so that a line by itself costs several times what one of many does.
 */
export class RecordLog {
  readonly #log: AccessLog;
  readonly #waiting: Waiting[] = [];
  #count = 0;

  constructor(options: Omit<AccessLogOptions, "beforeFlush">) {
    this.#log = new AccessLog({ ...options, beforeFlush: () => this.#writeLines() });
  }

  /** Lines lost since the start. */
  get droppedLines(): number {
    return this.#log.droppedLines;
  }

  /** Takes what is told of the record by the format. It is read at once. */
  add(format: Format, record: ExchangeRecord, capture: CaptureIndex): void {
    const waiting = this.#waiting[this.#count];
    if (waiting === undefined) this.#waiting.push({ record: new KeptRecord(record), format, capture });
    else {
      waiting.record.take(record);
      waiting.format = format;
      waiting.capture = capture;
    }
    this.#count += 1;
    if (this.#count === maxWaiting) this.#writeLines();
    else this.#log.wait();
  }

  /** See {@link AccessLog.flush}. */
  async flush(): Promise<void> {
    await this.#log.flush();
  }

  #writeLines(): void {
    const count = this.#count;
    this.#count = 0;
    for (let index = 0; index < count; index += 1) {
      const waiting = this.#waiting[index];
      if (waiting !== undefined) this.#log.line(waiting.format.line(waiting.record, waiting.capture));
    }
  }
}

import type { Container } from "../../../api/kubernetes/index.ts";
import { readEndBelow, type PlaceBelow } from "../place-below.ts";
import { readLogText } from "./container-log.ts";

/** The limits of a termination message in bytes and lines, as in Kubernetes. */
const maxMessage = 4096;
const maxMessageOfLog = 2048;
const maxLines = 80;

export interface EndedRun {
  readonly container: Container;
  readonly exitCode: number;
  /** The file in which the program may have left a message. */
  readonly message: PlaceBelow;
  readonly log: PlaceBelow;
}

/**
 * The end of the program's message file, or of its log if the program failed and the container requests that. Empty if
 * both are missing. The file may have any size, and may be a sparse file.
 */
export function terminationMessage({ container, exitCode, message, log }: EndedRun): string {
  const written = textOrNothing(() => readEndBelow(message, maxMessage).toString("utf8"));
  if (written !== "" || exitCode === 0 || container.terminationMessagePolicy !== "FallbackToLogsOnError")
    return written;
  const tail = textOrNothing(() =>
    readLogText(log, {
      follow: false,
      timestamps: false,
      tailLines: maxLines,
      sinceMs: undefined,
      limitBytes: undefined,
    }),
  );
  return tail.slice(-maxMessageOfLog);
}

function textOrNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

import type { Container } from "../../../api/kubernetes/index.ts";
import { readEndBelow, type PlaceBelow } from "../place-below.ts";
import { readLogText } from "./container-log.ts";

/** The limits of a termination message, as in Kubernetes: bytes of the file, and characters and lines of the log. */
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
 * Returns the end of the program's message file. If that is empty, the program failed and the container has the policy
 * `FallbackToLogsOnError`, returns the end of the log instead. The message file may have any size, and may be sparse.
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

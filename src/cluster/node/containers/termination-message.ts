import { readFileSync } from "node:fs";
import type { Container } from "../../../api/kubernetes/index.ts";
import { readLogText } from "./container-log.ts";

/** Kubernetes' own limits, in characters and lines. */
const maxMessage = 4096;
const maxMessageOfLog = 2048;
const maxLines = 80;

export interface EndedRun {
  readonly container: Container;
  readonly exitCode: number;
  /** The file in which the program may have left a message. */
  readonly messagePath: string;
  readonly logPath: string;
}

/**
 * The content of the program's message file, or the end of its log if it failed and the container requests that. Else
 * empty.
 */
export function terminationMessage({ container, exitCode, messagePath, logPath }: EndedRun): string {
  const written = readText(messagePath).slice(0, maxMessage);
  if (written !== "" || exitCode === 0 || container.terminationMessagePolicy !== "FallbackToLogsOnError")
    return written;
  const tail = readLogText(logPath, {
    follow: false,
    timestamps: false,
    tailLines: maxLines,
    sinceMs: undefined,
    limitBytes: undefined,
  });
  return tail.slice(-maxMessageOfLog);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

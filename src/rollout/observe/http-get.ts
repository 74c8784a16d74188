import { nodeHttp, SerinError, transientError } from "../../base/index.ts";
import { JoinedBytes, requireFinalResponse } from "../../base/joined-bytes/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";

/** The connection fails if it is idle this long. */
const timeoutMs = 2000;
const usualDeadlineMs = 10_000;
const bodyLimitBytes = 32 * 1024 * 1024;

export interface HttpGetOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Gets the number of bytes received so far. An error ends the request with that error. */
  readonly admit?: (bytes: number) => Error | undefined;
  /** The time limit of the whole exchange. */
  readonly deadlineMs?: number;
}

/**
 * Sends a GET to a pod's plain HTTP port. Throws a transient error if the pod does not answer with 200 in time. The
 * message contains the fault and the address, so the caller adds only the name of the server and the purpose of the
 * request. For another status the error has the code `http-status`, and the status as its reason.
 */
export function httpGet(
  address: string,
  port: number,
  path: string,
  { headers = {}, admit = () => undefined, deadlineMs = usualDeadlineMs }: HttpGetOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = formatAuthority(address, port);
    const deadline = AbortSignal.timeout(deadlineMs);
    const request = nodeHttp().get(
      { host: address, port, path, headers, timeout: timeoutMs, signal: deadline, agent: false },
      (response) => {
        const body = new JoinedBytes();
        response.on("data", (chunk: Buffer) => {
          body.add(chunk);
          const excess =
            body.length > bodyLimitBytes
              ? unreachable(`${where} sent more than ${bodyLimitBytes} bytes`)
              : admit(body.length);
          if (excess === undefined) return;
          reject(excess);
          request.destroy();
        });
        // Node emits no error if the server closes the connection in the middle of its answer.
        response.on("close", () => {
          if (!response.readableEnded)
            reject(unreachable(`${where} closed the connection in the middle of its answer`));
        });
        response.on("end", () => {
          if (response.statusCode === 200) resolve(body.view().toString("utf8"));
          else {
            const reason = String(response.statusCode ?? 0);
            reject(transientError("http-status", `${where} answered with HTTP status ${reason}`, { reason }));
          }
        });
      },
    );
    requireFinalResponse(request);
    request.on("timeout", () => request.destroy(new Error(`${where} did not answer in ${timeoutMs} ms`)));
    request.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        deadline.aborted
          ? unreachable(`${where} did not finish its answer in ${deadlineMs} ms`)
          : connectionError(where, error),
      ),
    );
  });
}

function unreachable(message: string, reason?: string): SerinError {
  return transientError("pod-unreachable", message, reason === undefined ? {} : { reason });
}

const meanings: Readonly<Record<string, (where: string) => string>> = {
  ECONNREFUSED: (where) => `nothing listens on ${where}`,
  ECONNRESET: (where) => `${where} closed the connection`,
  EPIPE: (where) => `${where} closed the connection`,
  ETIMEDOUT: (where) => `${where} does not answer`,
  EHOSTUNREACH: (where) => `there is no route to ${where}`,
  ENETUNREACH: (where) => `there is no route to ${where}`,
};

export function connectionError(where: string, { code, message }: NodeJS.ErrnoException): SerinError {
  const meaning = code === undefined ? undefined : meanings[code];
  if (meaning !== undefined) return unreachable(`${meaning(where)} (${code ?? ""})`, code);
  return unreachable(message.includes(where) ? message : `${where}: ${message}`, code);
}

/** Whether the error means that a pod or a pilot answered with this HTTP status. */
export function isStatus(error: unknown, status: number): boolean {
  return error instanceof SerinError && error.code === "http-status" && error.reason === String(status);
}

import { nodeHttp, transientError } from "../../base/index.ts";

/** The time limit without any data. */
const timeoutMs = 2000;
/** The time limit of the whole answer. */
const deadlineMs = 10_000;
const bodyLimitBytes = 32 * 1024 * 1024;

/**
 * Sends a GET to a pod's plain HTTP port. Throws a transient error unless it answers 200 in time. For another status
 * the error has the code `http-status`, and the status as its reason.
 */
export function httpGet(
  address: string,
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = `http://${address}:${port}${path}`;
    const fail = (problem: string): void => reject(transientError("pod-unreachable", `${where}: ${problem}`));
    const request = nodeHttp().get(
      { host: address, port, path, headers, timeout: timeoutMs, signal: AbortSignal.timeout(deadlineMs), agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > bodyLimitBytes) request.destroy(new Error("the answer is too long"));
          chunks.push(chunk);
        });
        // If the server closes the connection in the middle of its answer, Node emits no error.
        response.on("close", () => fail("the answer was cut short"));
        response.on("end", () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString("utf8"));
          else {
            const reason = String(response.statusCode ?? 0);
            reject(transientError("http-status", `${where}: status ${reason}`, { reason }));
          }
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    request.on("error", (error) => fail(error.message));
  });
}

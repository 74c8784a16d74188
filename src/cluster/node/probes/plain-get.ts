import { connect } from "node:net";

export interface PlainGet {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

const maxHeadBytes = 16 * 1024;
const protocol = "HTTP/1.";
const statusLine = /^HTTP\/1\.[01] \d{3}\b/;
const isPath = /^[!-~]+$/;
const isName = /^[\w!#$%&'*+.^`|~-]+$/;
const isValue = /^[\t -~]*$/;

/** Whether the request can be written as it is. `node:http` names the fault of any other. */
export function isPlain({ path, headers }: PlainGet): boolean {
  return (
    isPath.test(path) && Object.entries(headers).every(([name, value]) => isName.test(name) && isValue.test(value))
  );
}

/**
 * Sends a GET over a new connection, and resolves with the status as soon as the response's head is complete. The rest
 * is read and dropped until the server ends the connection, or the time is over. Rejects with the messages of a
 * kubelet. A client of `node:http` takes twice the processor time, and probes are most of what an idle node does.
 */
export async function plainGet(get: PlainGet, timeoutMs: number): Promise<number> {
  const { host, port, path, headers } = get;
  return await new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => socket.destroy(new Error("context deadline exceeded")), timeoutMs);
    let head: string | undefined = "";
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      if (head === undefined) return;
      head = withoutInterim(head + chunk);
      const isComplete = head.includes("\r\n\r\n");
      if (isComplete ? !statusLine.test(head) : !protocol.startsWith(head.slice(0, protocol.length)))
        socket.destroy(new Error("malformed HTTP response"));
      else if (isComplete) {
        resolve(Number(head.slice(9, 12)));
        head = undefined;
      } else if (head.length > maxHeadBytes) socket.destroy(new Error("the response's head is too long"));
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      // Without effect after the head.
      reject(new Error("EOF"));
    });
    const lines = Object.entries({ host: port === 80 ? host : `${host}:${port}`, ...headers });
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
  });
}

/** Drops complete responses with a status below 200, which come before the actual one. */
function withoutInterim(text: string): string {
  const [interim = ""] = /^HTTP\/1\.1 1\d\d\b[^]*?\r\n\r\n/.exec(text) ?? [];
  return interim === "" ? text : withoutInterim(text.slice(interim.length));
}

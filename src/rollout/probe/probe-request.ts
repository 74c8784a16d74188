import { nodeHttp, type Clock } from "../../base/index.ts";
import { parseClientCertificate, type CertificateEnds } from "./client-certificate.ts";
import type { ProbeAnswer } from "./probe-server.ts";
import type { ProbeTarget } from "./probe-targets.ts";

/** The outcome of one probe. Only a connection that was refused, reset or closed before a response is a refusal. */
export type ProbeOutcome =
  | { readonly type: "answered"; readonly durationMs: number; readonly ends: CertificateEnds | undefined }
  | { readonly type: "refused"; readonly error: string }
  | { readonly type: "failed"; readonly error: string };

export interface ProbeRequestOptions {
  readonly timeoutMs: number;
  readonly address: string;
  readonly clock: Clock;
}

const bodyLimitBytes = 64 * 1024;
const refusals: readonly unknown[] = ["ECONNREFUSED", "ECONNRESET", "EPIPE"];

/** Sends one request over a new connection. Never retries. */
export function probeOnce(
  { url, server }: ProbeTarget,
  { timeoutMs, address, clock }: ProbeRequestOptions,
): Promise<ProbeOutcome> {
  const { hostname, port, pathname, host } = new URL(url);
  const startedMs = clock.steadyMs();
  return new Promise((resolve) => {
    const request = nodeHttp().get(
      {
        host: address,
        port: port === "" ? 80 : port,
        path: pathname,
        headers: { host, connection: "close" },
        agent: false,
        setDefaultHeaders: false,
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
          if (body.length > bodyLimitBytes) request.destroy(new Error(`${hostname} does not stop answering`));
        });
        response.on("end", () => end(outcomeOf(response.statusCode ?? 0, body, server, clock.steadyMs() - startedMs)));
      },
    );
    const timer = clock.after(timeoutMs, () => end({ type: "failed", error: `no answer in ${timeoutMs} ms` }));
    const end = (outcome: ProbeOutcome): void => {
      timer[Symbol.dispose]();
      resolve(outcome);
      request.destroy();
    };
    request.on("error", (error: NodeJS.ErrnoException) => {
      const refused = refusals.includes(error.code);
      end({ type: refused ? "refused" : "failed", error: error.message });
    });
  });
}

const reasonCharacters = 160;

/** Finds the reason at the end of a proxy's long error text. */
function reasonIn(body: string): string {
  const text = body.replaceAll(/\s+/g, " ").trim();
  const reason = /transport failure reason: (.+)$/.exec(text)?.[1] ?? text;
  return reason.slice(0, reasonCharacters);
}

function outcomeOf(status: number, body: string, server: string, durationMs: number): ProbeOutcome {
  if (status !== 200) return { type: "failed", error: `status ${status} ${reasonIn(body)}`.trim() };
  let answer: Partial<ProbeAnswer>;
  try {
    answer = JSON.parse(body) as Partial<ProbeAnswer>;
  } catch {
    return { type: "failed", error: "the answer is not a probe's" };
  }
  if (answer.server !== server)
    return { type: "failed", error: `${answer.server ?? "somebody"} answered instead of ${server}` };
  return { type: "answered", durationMs, ends: parseClientCertificate(answer.clientCertificate ?? "") };
}

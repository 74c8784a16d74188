import { shownCharacters, type AskOnce } from "./ask-once.ts";
import type { Agent as HttpAgent } from "node:http";
import type { RequestTarget } from "./load-plan.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { Agent, request } = process.getBuiltinModule("node:http");

/** Returns one client of an HTTP target. Each call is a GET, on a kept-alive connection or on a new one. */
export function httpClient(target: RequestTarget, keptAlive: boolean, limitMs: number): AskOnce {
  const { url, headers = {}, expected } = target;
  const where = new URL(url);
  const pattern = target.answerPattern === undefined ? undefined : new RegExp(target.answerPattern);
  const options = {
    host: where.hostname,
    port: where.port === "" ? 80 : Number(where.port),
    path: `${where.pathname}${where.search}`,
    headers: { host: where.host, ...headers },
  };
  let agent: HttpAgent | false = false;
  let agentUntilMs = 0;
  return () => {
    if (keptAlive && performance.now() > agentUntilMs) {
      if (agent !== false) agent.destroy();
      agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agentUntilMs = performance.now() + target.keptSeconds * 1000;
    }
    return new Promise((resolve, reject) => {
      const outgoing = request({ ...options, agent }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("error", reject);
        response.on("end", () => {
          clearTimeout(timer);
          const { statusCode: status = 0 } = response;
          if (status >= 500) reject(new Error(`status ${status}: ${body.slice(0, shownCharacters)}`));
          else if (!body.includes(expected))
            reject(new Error(`the wrong body (status ${status}): ${body.slice(0, shownCharacters)}`));
          else resolve(pattern?.exec(body)?.[1] ?? "");
        });
      });
      const timer = setTimeout(() => {
        reject(new Error(`no whole answer in ${limitMs} ms`));
        outgoing.destroy();
      }, limitMs);
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(new Error(error.code ?? error.message));
      });
      outgoing.on("close", () => {
        clearTimeout(timer);
        reject(new Error("closed before the whole answer"));
      });
      outgoing.end();
    });
  };
}

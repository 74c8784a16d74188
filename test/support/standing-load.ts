// Requests and long answers from pods with curl, for as long as something changes. Nothing is asked twice; nothing may fail.
import assert from "node:assert/strict";
import type { Walkthrough } from "./walkthrough.ts";

export interface StandingLoadOptions {
  /** What kubectl may execute in: `deploy/sleep`, `-n shop deploy/sleep`. */
  readonly clients: readonly string[];
  /** Asked over kept-alive connections and over new ones. */
  readonly url: string;
  /** Of a download and of a TCP stream that live that long, from `samples/streams` as the clients name it. */
  readonly streams: { readonly host: string; readonly seconds: number };
}

const limitMs = 420_000;

/** Runs the body under load, and gives the number of requests. Fails by what did not answer 200, or was cut. */
export async function underStandingLoad(
  guide: Walkthrough,
  { clients, url, streams }: StandingLoadOptions,
  body: () => Promise<void>,
): Promise<number> {
  const { host, seconds } = streams;
  const run = async (line: string): Promise<string> => {
    const { code, output } = await guide.lab.shell(line, { timeoutMs: limitMs });
    assert.equal(code, 0, `${line}\n${output}`);
    return output;
  };
  await Promise.all(clients.map(async (client) => await run(`kubectl exec ${client} -- rm -f /tmp/stop`)));
  const code = `-s -o /dev/null -w "%{http_code}\\n"`;
  const until = (client: string, line: string): Promise<string> =>
    run(`kubectl exec ${client} -- sh -c 'while [ ! -f /tmp/stop ]; do ${line}; done'`);
  const loads = clients.flatMap((client) => [
    until(client, `curl ${code} -m 9 --rate 20/s "${url}?[1-40]"`),
    until(client, `curl ${code} -m 5 ${url}; sleep 0.03`),
  ]);
  const downloads = clients.map((client) =>
    run(`kubectl exec ${client} -- curl -s -m ${seconds + 60} "http://${host}:8080/download?seconds=${seconds}"`),
  );
  // curl does not end with what it is told: its time does.
  const echoes = clients.map((client) =>
    run(
      `kubectl exec ${client} -- sh -c '(for i in $(seq 1 ${seconds}); do echo $i; sleep 1; done) | curl -s -m ${seconds + 4} telnet://${host}:9000; true'`,
    ),
  );
  const all = Promise.all([Promise.all(loads), Promise.all(downloads), Promise.all(echoes)]);
  // What the body says comes first.
  all.catch(() => undefined);
  try {
    await body();
  } finally {
    await Promise.all(clients.map(async (client) => await run(`kubectl exec ${client} -- touch /tmp/stop`)));
  }
  const [answers, downloaded, echoed] = await all;
  const codes = answers.join("").trim().split("\n");
  assert.deepEqual(
    codes.filter((one) => one !== "200"),
    [],
  );
  for (const text of downloaded) assert.match(text, new RegExp(`end after ${seconds * 10} lines\\n$`));
  for (const text of echoed)
    assert.deepEqual(
      text.trim().split("\n"),
      Array.from({ length: seconds }, (_, index) => `echo ${index + 1}`),
    );
  return codes.length;
}

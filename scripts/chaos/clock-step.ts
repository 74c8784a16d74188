// Steps the wall clock of one running Node process: SIGUSR1 opens its inspector, which evaluates an expression. The
// expression replaces `Date` in the main thread only. Timers and durations do not follow the wall clock.

const inspectorUrl = "http://127.0.0.1:9229/json/list";
const stepMs = 60_000;

/**
 * A program for `node -e` that runs in the network namespace of the target process. It evaluates its argument in the
 * target process through the inspector.
 */
const evaluator = `
const [expression] = process.argv.slice(1);
const untilMs = performance.now() + 4000;
const targets = async () => {
  for (;;) {
    try {
      return await (await fetch(${JSON.stringify(inspectorUrl)})).json();
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
};
const [{ webSocketDebuggerUrl }] = await targets();
const socket = new WebSocket(webSocketDebuggerUrl);
await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error("no inspector")); });
socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression, returnByValue: true } }));
const { data } = await new Promise((resolve) => { socket.onmessage = resolve; });
const { result, exceptionDetails } = JSON.parse(data).result;
if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
console.log(result.value);
process.exit(0);
`;

/** Closes the inspector 200 ms later, so that its client gets the answer first. */
const closing = `process.getBuiltinModule("node:timers").setTimeout(() => process.getBuiltinModule("node:inspector").close(), 200).unref();`;

const back = `(() => {
  ${closing}
  if (globalThis.serinOwnDate !== undefined) return "stepped before";
  const own = (globalThis.serinOwnDate = Date);
  const nowMs = () => own.now() - ${stepMs};
  globalThis.Date = new Proxy(own, {
    apply: () => new own(nowMs()).toString(),
    construct: (target, words) => (words.length === 0 ? new target(nowMs()) : new target(...words)),
    get: (target, name) => (name === "now" ? nowMs : target[name]),
  });
  return "stepped back";
})()`;

const forward = `(() => {
  ${closing}
  globalThis.Date = globalThis.serinOwnDate ?? Date;
  delete globalThis.serinOwnDate;
  return "as before";
})()`;

export const steppedClock = { evaluator, back, forward } as const;

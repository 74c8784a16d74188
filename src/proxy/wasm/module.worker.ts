import { randomFillSync } from "node:crypto";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { invariant, messageOf } from "../../base/index.ts";
import { awaitMark } from "./answer-mark.ts";
import type { MachineHost } from "./machine-state.ts";
import type { SharedAnswer } from "./messages.ts";
import type { FromThread, ThreadStart, ToThread } from "./thread-messages.ts";
import { VirtualMachine } from "./virtual-machine.ts";

invariant(parentPort !== null, "a module runs in a thread of its own");
const port = parentPort;
const { module, options, logLevel, questions, answered } = workerData as ThreadStart;
const nsInMs = 1_000_000n;

const post = (message: FromThread): void => port.postMessage(message);

const host: MachineHost = {
  tell: (request) => post({ kind: "tell", request }),
  ask: (request) => {
    questions.postMessage(request);
    awaitMark(answered);
    return (receiveMessageOnPort(questions) as { message: SharedAnswer }).message;
  },
  nowNs: () => BigInt(Date.now()) * nsInMs,
  steadyNs: () => process.hrtime.bigint(),
  fillRandom: (bytes) => void randomFillSync(bytes),
  logLevel: () => logLevel,
};

/**
 * The machine that runs the module. Undefined after a failure, because the module's memory may then be in any state.
 */
let machine: VirtualMachine | undefined;
try {
  machine = new VirtualMachine(module, options, host);
} catch (error) {
  post({ kind: "failed", message: messageOf(error) });
}

port.on("message", (call: ToThread) => {
  if (machine === undefined) return;
  try {
    post({ kind: "answer", answer: machine.run(call) });
  } catch (error) {
    machine = undefined;
    post({ kind: "failed", message: messageOf(error) });
  }
});

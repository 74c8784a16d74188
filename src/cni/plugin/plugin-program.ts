import { userError } from "../../base/index.ts";
import {
  encodings,
  inRegister,
  memoryBase,
  staticProgram,
  type Machine,
  type Register,
} from "../../base/machine-code/index.ts";
import { supportedVersions } from "./plugin-versions.ts";

export interface PluginProgramOptions {
  /** The processor architecture, in the spelling of Node.js. */
  readonly architecture: string;
  /** The path of the agent's socket on the node. */
  readonly socketPath: string;
  /** How long an ADD waits for an agent, in milliseconds. The default is 20 s. */
  readonly waitMs?: number;
}

const maxSocketPath = 107;
const requestBytes = 1 << 20;
const answerBytes = 1 << 20;
/** The size of an answer's header: the length of the output and the exit code, in 32 bits each. */
const answerHeaderBytes = 8;

/**
 * How long an ADD waits for an agent that is being replaced, in milliseconds. After this time, the program's answer
 * tells the runtime to try again. A kubelet retries only after 10 to 15 s, and allows four minutes for the start of a
 * pod.
 */
const defaultWaitMs = 20_000;
const connectPauseMs = 100;
/** The error code EAGAIN, which a system call returns when its time limit has expired. */
const timedOut = 11;
/** How long the program waits for the agent's answer, in seconds. The agent takes less time for any answer. */
const answerTimeoutSeconds = 20;

const linux = {
  unixFamily: 1,
  streamCloseOnExec: 0x8_0001,
  socketLevel: 1,
  receiveTimeout: 20,
  sendTimeout: 21,
  noSignal: 0x4000,
  shutdownWrite: 1,
} as const;

const place: Register = 0;
const count: Register = 1;
const end: Register = 2;
const command: Register = 3;
const text: Register = 4;
const tries: Register = 5;

const addressOf = (label: string): { readonly address: string } => ({ address: label });
/** Returns the 32-bit number that four characters form in memory. */
const four = (characters: string): number => Buffer.from(characters, "latin1").readInt32LE();

/**
 * Builds the CNI plugin, a program that needs only a Linux kernel. It sends the runtime's variables and input to the
 * agent, which makes all decisions, and returns the agent's answer. If there is no agent, the program answers by
 * itself.
 */
export function pluginProgram({ architecture, socketPath, waitMs = defaultWaitMs }: PluginProgramOptions): Uint8Array {
  const encoding = encodings[architecture];
  if (encoding === undefined)
    throw userError("unsupported", `there is no CNI plugin for ${architecture}`, {
      hint: `nodes must be of ${Object.keys(encodings).join(" or ")}`,
    });
  if (Buffer.byteLength(socketPath) > maxSocketPath)
    throw userError("socket-path-long", `the agent's socket ${socketPath} has more than ${maxSocketPath} bytes`);
  const labels = new Map([
    ["request", memoryBase],
    ["requestEnd", memoryBase + requestBytes],
    ["answer", memoryBase + requestBytes],
    ["answerEnd", memoryBase + requestBytes + answerBytes],
  ]);
  const address = Buffer.concat([Buffer.of(linux.unixFamily, 0), Buffer.from(`${socketPath}\0`)]);
  return staticProgram(encoding, { bytes: requestBytes + answerBytes, labels }, (machine) => {
    collectVariables(machine);
    readInput(machine);
    connectToAgent(machine, address, waitMs);
    exchange(machine);
    print(machine);
    answerAlone(machine, socketPath);
  });
}

/**
 * Copies each variable `CNI_…` with its final zero byte into the request, and then adds one more zero byte. Stores the
 * first four characters of the command in `command`.
 */
function collectVariables(machine: Machine): void {
  machine.stackPointer(place);
  // At the program's start, the stack contains the number of arguments, the arguments, a zero, and the environment.
  machine.load(count, place, 0, 8);
  for (let doubled = 0; doubled < 3; doubled += 1) machine.add(count, inRegister(count));
  machine.add(place, inRegister(count));
  machine.add(place, 16);
  machine.set(end, addressOf("request"));
  machine.set(command, 0);
  machine.set(tries, addressOf("requestEnd"));
  machine.label("nextVariable");
  machine.load(text, place, 0, 8);
  machine.jumpIf(text, "equal", 0, "variablesDone");
  machine.add(place, 8);
  machine.load(count, text, 0, 4);
  machine.jumpIf(count, "unequal", four("CNI_"), "nextVariable");
  machine.load(count, text, 4, 4);
  machine.jumpIf(count, "unequal", four("COMM"), "copyVariable");
  machine.load(count, text, 8, 4);
  machine.jumpIf(count, "unequal", four("AND="), "copyVariable");
  machine.load(command, text, 12, 4);
  // GC has only two letters. Ignore the bytes after its zero byte, because they belong to another variable.
  machine.load(count, text, 12, 1);
  machine.jumpIf(count, "unequal", "G".charCodeAt(0), "copyVariable");
  machine.set(command, four("GC\0\0"));
  machine.label("copyVariable");
  machine.jumpIf(end, "equal", inRegister(tries), "unanswered");
  machine.load(count, text, 0, 1);
  machine.storeByte(count, end);
  machine.add(text, 1);
  machine.add(end, 1);
  machine.jumpIf(count, "unequal", 0, "copyVariable");
  machine.jump("nextVariable");
  machine.label("variablesDone");
  machine.jumpIf(end, "equal", inRegister(tries), "unanswered");
  machine.set(count, 0);
  machine.storeByte(count, end);
  machine.add(end, 1);
}

function readInput(machine: Machine): void {
  machine.label("readInput");
  machine.set(count, addressOf("requestEnd"));
  machine.subtract(count, end);
  machine.jumpIf(count, "equal", 0, "unanswered");
  machine.system(count, "read", 0, inRegister(end), inRegister(count));
  machine.jumpIf(count, "less", 0, "unanswered");
  machine.add(end, inRegister(count));
  machine.jumpIf(count, "unequal", 0, "readInput");
}

function connectToAgent(machine: Machine, address: Uint8Array, waitMs: number): void {
  machine.constant("address", address);
  machine.constant("answerTimeout", twoLongs(answerTimeoutSeconds, 0));
  machine.constant("connectPause", twoLongs(0, connectPauseMs * 1_000_000));
  machine.set(tries, waitMs / connectPauseMs);
  machine.jumpIf(command, "equal", four("ADD\0"), "connect");
  machine.set(tries, 1);
  machine.label("connect");
  machine.system(text, "socket", linux.unixFamily, linux.streamCloseOnExec, 0);
  machine.jumpIf(text, "less", 0, "unanswered");
  for (const option of [linux.receiveTimeout, linux.sendTimeout])
    machine.system(
      count,
      "setsockopt",
      inRegister(text),
      linux.socketLevel,
      option,
      addressOf("answerTimeout"),
      twoLongs(0, 0).length,
    );
  machine.system(count, "connect", inRegister(text), addressOf("address"), address.length);
  machine.jumpIf(count, "equal", 0, "connected");
  machine.label("again");
  machine.system(count, "close", inRegister(text));
  machine.add(tries, -1);
  machine.jumpIf(tries, "equal", 0, "unanswered");
  machine.system(count, "nanosleep", addressOf("connectPause"), 0);
  machine.jump("connect");
  machine.label("connected");
}

/**
 * Sends the request, then reads until the agent closes the connection. An incomplete answer is discarded. An agent that
 * ends closes the connection without an answer, and the program sends the request to the next agent.
 */
function exchange(machine: Machine): void {
  machine.set(place, addressOf("request"));
  machine.label("send");
  machine.copy(count, end);
  machine.subtract(count, place);
  machine.jumpIf(count, "equal", 0, "sent");
  machine.system(count, "sendto", inRegister(text), inRegister(place), inRegister(count), linux.noSignal, 0, 0);
  machine.jumpIf(count, "lessOrEqual", 0, "unsent");
  machine.add(place, inRegister(count));
  machine.jump("send");
  machine.label("unsent");
  machine.add(count, timedOut);
  machine.jumpIf(count, "equal", 0, "unanswered");
  machine.jump("again");
  machine.label("sent");
  machine.system(count, "shutdown", inRegister(text), linux.shutdownWrite);
  // Until the answer has arrived, `place` contains the end of the request.
  machine.set(end, addressOf("answer"));
  machine.label("receive");
  machine.set(count, addressOf("answerEnd"));
  machine.subtract(count, end);
  machine.jumpIf(count, "equal", 0, "unanswered");
  machine.system(count, "read", inRegister(text), inRegister(end), inRegister(count));
  machine.jumpIf(count, "less", 0, "unread");
  machine.add(end, inRegister(count));
  machine.jumpIf(count, "unequal", 0, "receive");
  machine.set(count, addressOf("answer"));
  machine.subtract(end, count);
  machine.jumpIf(end, "equal", 0, "closed");
  machine.jumpIf(end, "less", answerHeaderBytes, "unanswered");
  machine.add(end, -answerHeaderBytes);
  machine.load(count, count, 0, 4);
  machine.jumpIf(count, "equal", inRegister(end), "answered");
  machine.jump("unanswered");
  machine.label("unread");
  machine.add(count, timedOut);
  machine.jumpIf(count, "equal", 0, "unanswered");
  machine.label("closed");
  machine.copy(end, place);
  machine.jump("again");
  machine.label("answered");
  machine.set(place, addressOf("answer"));
  machine.load(command, place, 4, 4);
  machine.add(place, answerHeaderBytes);
}

/** Writes `end` bytes from `place` on to standard output, and exits with the code in `command`. */
function print(machine: Machine): void {
  machine.label("print");
  machine.jumpIf(end, "equal", 0, "leave");
  machine.system(count, "write", 1, inRegister(place), inRegister(end));
  machine.jumpIf(count, "lessOrEqual", 0, "leave");
  machine.add(place, inRegister(count));
  machine.subtract(end, count);
  machine.jump("print");
  machine.label("leave");
  machine.system(count, "exit_group", inRegister(command));
}

/**
 * Adds the program's own answers for the case that there is no agent. An ADD fails, so that no pod starts. Deletions
 * succeed, and VERSION lists the versions. STATUS succeeds too: if it failed, the kubelet would report the node as not
 * ready, and Kubernetes would remove the node's running pods from their Services.
 */
function answerAlone(machine: Machine, socketPath: string): void {
  const say = (label: string, words: string, exitCode: number): void => {
    const bytes = Buffer.from(words);
    machine.constant(`${label}Text`, bytes);
    machine.label(label);
    machine.set(place, addressOf(`${label}Text`));
    machine.set(end, bytes.length);
    machine.set(command, exitCode);
    machine.jump("print");
  };
  const tryAgain = JSON.stringify({
    cniVersion: "1.1.0",
    code: 11,
    msg: "the mesh's CNI agent does not answer",
    details: `no process answers at ${socketPath}; a pod starts once the pod of DaemonSet istio-cni-node on this node is ready. If the mesh is uninstalled, install and uninstall it again while this node is ready, or remove the plugin serin-cni from the node's CNI configuration`,
  });
  machine.label("unanswered");
  machine.jumpIf(command, "equal", four("VERS"), "sayVersions");
  machine.jumpIf(command, "equal", four("DEL\0"), "sayNothing");
  machine.jumpIf(command, "equal", four("STAT"), "sayNothing");
  machine.jumpIf(command, "equal", four("GC\0\0"), "sayNothing");
  say("sayAgain", tryAgain, 1);
  say("sayVersions", JSON.stringify({ cniVersion: "1.1.0", supportedVersions }), 0);
  say("sayNothing", "", 0);
}

function twoLongs(first: number, second: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(BigInt(first), 0);
  bytes.writeBigInt64LE(BigInt(second), 8);
  return bytes;
}

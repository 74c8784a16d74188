import { seededRandom } from "../../../base/index.ts";
import { frameType, setting } from "../constants.ts";
import { hpackEncode } from "../hpack-encoder.ts";
import { requestBlock, SessionModel, type Action } from "./session-model.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** Called between sessions. If it returns true, the fuzzing ends. */
  readonly isOver?: () => boolean;
}

export interface FuzzResult {
  readonly runs: number;
  readonly actions: number;
  /** How many sessions ended with each code of GOAWAY. `alive` counts those that did not end. */
  readonly endings: ReadonlyMap<string, number>;
}

const actionsARun = 60;
const ids = [0, 1, 2, 3, 5, 7, 9, 11, 101, 2 ** 31 - 1];
const increments = [1, 100, 5000, 65_535, 2 ** 31 - 1];
const settings = [
  [setting.headerTableSize, 0],
  [setting.initialWindowSize, 0],
  [setting.initialWindowSize, 100],
  [setting.initialWindowSize, 70_000],
  [setting.maxFrameSize, 16_384],
  [setting.maxFrameSize, 1 << 20],
  [setting.maxConcurrentStreams, 1],
] as const;
const blocks = [
  requestBlock,
  requestBlock,
  hpackEncode(["x-end", "yes"]),
  hpackEncode([":status", "200"]),
  Buffer.from("ffffffffff", "hex"),
  Buffer.from([0x3f, 0xff, 0xff, 0xff]),
];

/** Plays random sessions, which seeds determine. If a session breaks a rule, throws an error with its seed. */
export function fuzzSession(options: FuzzOptions): FuzzResult {
  const endings = new Map<string, number>();
  let actions = 0;
  let runs = 0;
  for (; runs < options.runs && options.isOver?.() !== true; runs += 1) {
    const seed = options.seed + runs;
    const model = playSession(seed);
    actions += actionsARun;
    const faults = model.finish();
    if (faults.length > 0) throw new Error(`seed ${seed}: ${faults.join("; ")}`);
    const ending =
      model.failure === undefined ? (model.session.over ? "finished" : "alive") : String(model.failure.code);
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  return { runs, actions, endings };
}

/** Plays the session of a seed. Its bytes arrive in pieces of `pieceBytes`. */
export function playSession(seed: number, pieceBytes = Infinity): SessionModel {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = <Value>(values: readonly Value[]): Value => values[below(values.length)] as Value;
  const model = new SessionModel(below(4) > 0, pieceBytes);
  // Some sessions get well-formed frames, so that they live longer.
  const isTame = below(2) === 0;
  if (isTame)
    model.play(model.isServer ? { does: "headers", id: 1, block: requestBlock, end: false } : { does: "open" });
  for (let count = 0; count < actionsARun; count += 1) model.play(nextAction(below, pick, isTame ? model : undefined));
  return model;
}

function nextAction(
  below: (limit: number) => number,
  pick: <Value>(values: readonly Value[]) => Value,
  tame: SessionModel | undefined,
): Action {
  const isTame = tame !== undefined;
  const lastId = tame?.lastId ?? 0;
  const id = isTame ? Math.max(1, lastId - 2 * below(6)) : pick(ids);
  const end = below(4) === 0;
  const makers: readonly (() => Action)[] = [
    () => ({ does: "headers", id: tame?.isServer === true ? lastId + 2 : id, block: requestBlock, end }),
    () => ({ does: "headers", id, block: pick(blocks.slice(0, isTame ? 4 : 6)), end }),
    () => ({ does: "data", id, bytes: below(3000), end }),
    () => ({ does: "reset", id, code: below(14) }),
    () => ({ does: "window", id: pick([0, id]), by: isTame ? pick(increments.slice(0, 3)) : pick(increments) }),
    () => ({ does: "settings", values: [pick(settings)] }),
    () => ({ does: "ping", opaque: pick([Buffer.alloc(8), Buffer.from("goaway!!")]), ack: below(2) === 0 }),
    () => ({ does: "answer", id, end }),
    () => ({ does: "write", id, bytes: below(40_000), end }),
    () => ({ does: "write", id, bytes: below(100), end }),
    () => ({ does: "drop", id, code: pick([0, 1, 8]) }),
    () => ({ does: pick(["pause", "resume"] as const), id }),
    () => ({ does: pick(["full", "room"] as const) }),
    () => ({ does: "room" }),
    () => ({ does: "open" }),
    () => ({ does: "pass", ms: below(12_000) }),
    ...(below(6) === 0 ? [(): Action => ({ does: pick(["drain", "refuse-more"] as const) })] : []),
    ...(isTame
      ? []
      : [
          (): Action => ({ does: "goaway", last: id, code: below(14) }),
          (): Action => ({ does: "frame", type: below(12), flags: below(256), id, payload: noise(below, 30) }),
          (): Action => ({ does: "frame", type: frameType.data, flags: 8, id, payload: noise(below, 300) }),
          (): Action => ({ does: "noise", bytes: noise(below, 40) }),
        ]),
  ];
  return pick(makers)();
}

function noise(below: (limit: number) => number, maxLength: number): Buffer {
  return Buffer.from(Array.from({ length: below(maxLength) }, () => below(256)));
}

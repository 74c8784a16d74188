// Sends frames as they are, valid or not, and returns the answer.
import { connect } from "node:net";
import { errorCodeName, FrameReader } from "../../../src/wire/http2/index.ts";
import { usualQuietMs } from "./http1-client.ts";
import { answerText } from "./outcome.ts";

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const flags = { endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(type: number, flag: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Encodes fields as literals without indexing. They may contain anything. */
export function fieldBlock(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export function headers(stream: number, fields: readonly (readonly [string, string])[], endStream = true): Buffer {
  return frame(frameTypes.headers, flags.endHeaders | (endStream ? flags.endStream : 0), stream, fieldBlock(fields));
}

export function data(stream: number, body: string, endStream = true): Buffer {
  return frame(frameTypes.data, endStream ? flags.endStream : 0, stream, Buffer.from(body, "latin1"));
}

export interface Http2Case {
  /** What to send after the preface and SETTINGS. */
  readonly frames: Buffer;
  /** By default, stream 1. */
  readonly streams?: readonly number[];
  readonly from?: string;
  readonly quietMs?: number;
}

export interface Http2Result {
  readonly answers: readonly string[];
  readonly connection: "goes on" | "ends" | "waits";
  readonly answer: string;
}

const probeStream = 1001;
const probe = headers(probeStream, [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "probe.test"],
  [":path", "/probe"],
]);

interface StreamState {
  answer: string;
  fields: string[];
  body: string;
  trailers: string;
  ended: boolean;
}

export async function runHttp2(
  port: number,
  { frames, streams = [1], from, quietMs = usualQuietMs }: Http2Case,
): Promise<Http2Result> {
  const socket = connect({
    port,
    host: from === undefined ? "127.0.0.1" : from.replace(/\d+$/, "254"),
    ...(from === undefined ? {} : { localAddress: from }),
    noDelay: true,
  });
  const seen = new Map<number, StreamState>();
  const link = { ended: false, goAwayCode: "" };
  let wake: () => void = () => undefined;
  const stateOf = (stream: number): StreamState => {
    const state = seen.get(stream) ?? { answer: "", fields: [], body: "", trailers: "", ended: false };
    seen.set(stream, state);
    return state;
  };
  const reader = new FrameReader(
    {
      data: (stream, chunk, end) => {
        const state = stateOf(stream);
        state.body += chunk.toString("latin1");
        if (end) state.ended = true;
      },
      padding: () => undefined,
      headers: (stream, fields, end) => {
        const state = stateOf(stream);
        const pairs = fields.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${fields[index + 1] ?? ""}`] : []));
        const [first = ""] = pairs;
        if (!first.startsWith(":status")) state.trailers = pairs.join("\r\n");
        else if (!first.startsWith(":status: 1")) {
          state.answer = first.slice(":status: ".length);
          state.fields = pairs.slice(1);
        }
        if (end) state.ended = true;
      },
      rstStream: (stream, code) => {
        const state = stateOf(stream);
        // A reset after a complete answer only means that the rest of the request is not needed.
        if (!state.ended) state.answer = state.answer === "" ? `reset ${errorCodeName(code)}` : `${state.answer} cut`;
        state.ended = true;
      },
      settings: () => void socket.write(frame(frameTypes.settings, 1, 0)),
      settingsAck: () => undefined,
      ping: () => undefined,
      pingAck: () => undefined,
      goaway: (_last, code) => (link.goAwayCode = code === 0 ? link.goAwayCode : errorCodeName(code)),
      windowUpdate: () => undefined,
      ignored: () => undefined,
    },
    { maxFrameSize: 16_384, expectPreface: false },
  );
  socket.on("data", (chunk) => {
    reader.push(chunk);
    wake();
  });
  const end = (): void => {
    link.ended = true;
    wake();
  };
  socket.on("end", end).on("close", end).on("error", end);
  const more = async (): Promise<boolean> =>
    await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), quietMs);
      wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  socket.write(Buffer.concat([preface, frame(frameTypes.settings, 0, 0), frames]));
  while (!link.ended && link.goAwayCode === "" && !streams.every((stream) => seen.get(stream)?.ended === true))
    if (!(await more())) break;
  // Envoy closes a failed connection only after a second. One that answers no more counts as ended.
  let connection: Http2Result["connection"] = "ends";
  if (!link.ended && link.goAwayCode === "") {
    socket.write(probe);
    while (!link.ended && link.goAwayCode === "" && seen.get(probeStream)?.ended !== true) if (!(await more())) break;
    if (seen.get(probeStream)?.ended === true) connection = "goes on";
  }
  socket.destroy();
  const [first] = streams;
  const state = first === undefined ? undefined : seen.get(first);
  return {
    answers: streams.map((stream) => (seen.get(stream)?.answer ?? "") || "none"),
    connection,
    answer: state === undefined ? "" : answerText(state.fields, state.body, state.trailers),
  };
}

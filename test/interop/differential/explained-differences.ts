// Where Serin's proxy does something else than Envoy with the same bytes, and why that is at least as safe.
import type { JudgedCase } from "./judged-case.ts";

/** What came of a case at both proxies, in normal form. */
export interface JudgedDifference {
  readonly suite: string;
  readonly judged: JudgedCase;
  readonly serin: Readonly<Record<string, string>>;
  readonly envoy: Readonly<Record<string, string>>;
}

export interface Explanation {
  readonly why: string;
  covers(difference: JudgedDifference): boolean;
}

const isRefusal = (answers: string | undefined): boolean =>
  /^(100 )?([45]\d\d|reset \w+|none|)( none)*$/.test(answers ?? "");

/** What the upstream got, in its order. */
const requestsOf = (outcome: JudgedDifference["serin"]): readonly string[] =>
  (outcome["upstream"] ?? "").split("\n--\n").filter((text) => text !== "");
const isCut = (request: string): boolean => request.endsWith("\ncut");

/** Lines that the upstream got of one proxy alone. */
function linesOfOne(difference: JudgedDifference): {
  readonly serin: readonly string[];
  readonly envoy: readonly string[];
} {
  const [serin, envoy] = [difference.serin, difference.envoy].map((outcome) => (outcome["upstream"] ?? "").split("\n"));
  const without = (lines: readonly string[] = [], others: readonly string[] = []): string[] =>
    lines.filter((line) => !others.includes(line));
  return { serin: without(serin, envoy), envoy: without(envoy, serin) };
}

/** Only what the upstream got differs, by lines that match, of Serin's and of Envoy's. */
const differsBy =
  (serinHas: RegExp | undefined, envoyHas: RegExp | undefined) =>
  (difference: JudgedDifference): boolean => {
    const { serin, envoy } = difference;
    if (serin["answers"] !== envoy["answers"] || serin["answer"] !== envoy["answer"]) return false;
    if (serin["connection"] !== envoy["connection"]) return false;
    const lines = linesOfOne(difference);
    const match = (of: readonly string[], pattern: RegExp | undefined): boolean =>
      pattern === undefined ? of.length === 0 : of.length > 0 && of.every((line) => pattern.test(line));
    return match(lines.serin, serinHas) && match(lines.envoy, envoyHas);
  };

const bytesOf = ({ judged: { send } }: JudgedDifference): string =>
  "bytes" in send ? send.bytes.toString("latin1") : "";

export const explanations: readonly Explanation[] = [
  {
    why: "Serin refuses it, and nothing of it reaches the upstream",
    covers: ({ serin }) => serin["upstream"] === "" && isRefusal(serin["answers"]),
  },
  {
    why: "the head of a request went on before its body or trailers turned out wrong; the upstream sees it cut, never whole",
    covers: ({ serin }) => isRefusal(serin["answers"]) && requestsOf(serin).every(isCut),
  },
  {
    why: "what comes after a stream's end is not of its request: the answer is cut, and the frame charged to the connection",
    covers: ({ suite, serin }) => suite === "http2" && /^reset [A-Z_]+$/.test(serin["answers"] ?? ""),
  },
  {
    why: "a wrong stream of HTTP/2 ends the stream, and is charged to its connection, which Envoy ends",
    covers: ({ suite, serin, envoy }) =>
      suite === "http2" &&
      /^reset [A-Z_]+ 200$/.test(serin["answers"] ?? "") &&
      // The head of the wrong stream may have reached either upstream, whose connection then ended.
      requestsOf(envoy).every(isCut) &&
      requestsOf(serin).slice(0, -1).every(isCut),
  },
  {
    why: "at an edge no x-envoy field of a stranger goes on, known to Envoy or not",
    covers: (difference) =>
      difference.judged.lane.startsWith("gateway") && differsBy(undefined, /^x-envoy-/)(difference),
  },
  { why: "a request without a body says no length", covers: differsBy(undefined, /^content-length: 0$/) },
  {
    why: "names of codings have no case",
    covers: differsBy(/^transfer-encoding: chunked$/i, /^transfer-encoding: chunked$/),
  },
  { why: "hosts have no case, and go on in lower case", covers: differsBy(/^host: b\.test$/, /^host: B\.TEST$/) },
  { why: "te goes on where it says trailers and nothing else", covers: differsBy(undefined, /^te: trailers$/) },
  { why: "http2-settings is of the hop", covers: differsBy(undefined, /^http2-settings: /) },
  {
    why: "a method is any name in capitals; rules name methods exactly, so what is in no list passes no rule for another",
    covers: (difference) =>
      difference.envoy["answers"] === "400" && /^(?!GET |POST )[A-Z0-9][A-Z0-9_.-]* \/a HTTP/.test(bytesOf(difference)),
  },
  {
    why: "a path of slashes alone is one slash when slashes are merged, for policies and for the upstream",
    covers: differsBy(/^GET \/ /, /^GET \/\/ /),
  },
  {
    why: "escaped dots beside a parameter climb like plain ones: policies and the upstream see the path without them",
    covers: (difference) => bytesOf(difference).startsWith("GET /x/%2e%2e;/admin "),
  },
  {
    why: "an absolute target without a path is the root's, and its scheme counts for nothing: the connection's does",
    covers: (difference) => /^GET (http:\/\/b\.test\?x|https:\/\/b\.test\/x) /.test(bytesOf(difference)),
  },
  {
    why: "a connection goes on when the end of a message is known, whatever proxy-connection, a wish to upgrade or an old version say",
    covers: (difference) =>
      /Proxy-Connection: close|Upgrade: websocket|HTTP\/1\.0\r\n/.test(bytesOf(difference)) &&
      difference.serin["connection"] === "goes on",
  },
  {
    why: "the table of frames: what breaks no state of ours is let pass as RFC 9113 lets a receiver",
    covers: ({ suite, judged }) =>
      suite === "http2" &&
      /^(ENABLE_PUSH|a frame of 16385|GOAWAY|PRIORITY|MAX_FRAME_SIZE|WINDOW_UPDATE|HEADERS that depends)/.test(
        judged.title,
      ),
  },
  {
    why: "an upstream's answer that breaks the rules is a 502, or ends the connection",
    covers: ({ suite, serin }) => suite === "answers" && /^(502|none|)$/.test(serin["answers"] ?? ""),
  },
  {
    why: "what an upstream's answer says of a body that it cannot have is not passed on as a body; 103 and fields of the hop end here",
    covers: ({ suite, judged }) =>
      suite === "answers" && /HTTP\/1\.1 (204|304|103|101|100)|Connection: x-a/.test(judged.title),
  },
];

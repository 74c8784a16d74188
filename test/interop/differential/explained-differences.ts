// Cases in which Serin's proxy differs from Envoy on purpose, with the reason why this is at least as safe.
import type { JudgedCase } from "./judged-case.ts";

/** What a case has led to at both proxies, in normal form. */
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

const requestsOf = (outcome: JudgedDifference["serin"]): readonly string[] =>
  (outcome["upstream"] ?? "").split("\n--\n").filter((text) => text !== "");
const isCut = (request: string): boolean => request.endsWith("\ncut");

/** The request lines that only one proxy has sent to its upstream. */
function linesOfOne(difference: JudgedDifference): {
  readonly serin: readonly string[];
  readonly envoy: readonly string[];
} {
  const [serin, envoy] = [difference.serin, difference.envoy].map((outcome) => (outcome["upstream"] ?? "").split("\n"));
  const without = (lines: readonly string[] = [], others: readonly string[] = []): string[] =>
    lines.filter((line) => !others.includes(line));
  return { serin: without(serin, envoy), envoy: without(envoy, serin) };
}

/** Whether nothing but the requests at the upstreams differs, in lines that match these patterns. */
const differsBy =
  (serinHas: RegExp | undefined, envoyHas: RegExp | undefined) =>
  (difference: JudgedDifference): boolean => {
    const { serin, envoy } = difference;
    if (serin["answers"] !== envoy["answers"] || serin["answer"] !== envoy["answer"]) return false;
    if (serin["connection"] !== envoy["connection"]) return false;
    const lines = linesOfOne(difference);
    const match = (lines: readonly string[], pattern: RegExp | undefined): boolean =>
      pattern === undefined ? lines.length === 0 : lines.length > 0 && lines.every((line) => pattern.test(line));
    return match(lines.serin, serinHas) && match(lines.envoy, envoyHas);
  };

/** The requests at the upstream, without what only belongs to a call of the authorizer. */
const asked = (upstream: string): string =>
  upstream
    .replaceAll(/^(content-length: 0|x-envoy-internal: true)\n/gm, "")
    .replaceAll(/^host: .*$/gm, (host) => host.toLowerCase());

/** Requests and responses, without the details in which redirects and rewrites differ. */
const plain = (text: string): string =>
  text
    .replaceAll(/^x-envoy-original-(host|path): .*\n/gm, "")
    .replaceAll(/^(host|location|x-forwarded-host): .*$/gm, (line) =>
      line.toLowerCase().replace(/^(location: https:\/\/[^/]*):443\//, "$1/"),
    )
    .replaceAll(/\?(?=$| HTTP)/gm, "");

const bytesOf = ({ judged: { send } }: JudgedDifference): string =>
  "bytes" in send ? send.bytes.toString("latin1") : "";

export const explanations: readonly Explanation[] = [
  {
    why: "Serin refuses it, and nothing of it reaches the upstream",
    covers: ({ serin }) => serin["upstream"] === "" && isRefusal(serin["answers"]),
  },
  {
    why: "the head was forwarded before its body or trailers proved invalid; the upstream sees an incomplete request",
    covers: ({ serin }) => isRefusal(serin["answers"]) && requestsOf(serin).every(isCut),
  },
  {
    why: "frames after a stream's end do not belong to its request: the response is cut, and the connection's budget is charged",
    covers: ({ suite, serin }) => suite === "http2" && /^reset [A-Z_]+$/.test(serin["answers"] ?? ""),
  },
  {
    why: "a faulty HTTP/2 stream ends and costs its connection a part of its budget; Envoy ends the connection",
    covers: ({ suite, serin, envoy }) =>
      suite === "http2" &&
      /^reset [A-Z_]+ 200$/.test(serin["answers"] ?? "") &&
      // Either upstream may have got the head of the wrong stream before the connection to it ended.
      requestsOf(envoy).every(isCut) &&
      requestsOf(serin).slice(0, -1).every(isCut),
  },
  {
    why: "at an edge all x-envoy headers of strangers are removed, even ones that Envoy does not know",
    covers: (difference) =>
      difference.judged.lane.startsWith("gateway") && differsBy(undefined, /^x-envoy-/)(difference),
  },
  { why: "a request without a body has no length header", covers: differsBy(undefined, /^content-length: 0$/) },
  {
    why: "names of codings are case-insensitive",
    covers: differsBy(/^transfer-encoding: chunked$/i, /^transfer-encoding: chunked$/),
  },
  {
    why: "hosts are case-insensitive and are forwarded in lower case",
    covers: differsBy(/^host: [ab]\.test(:80)?$/, /^host: (?=.*[A-Z])[ab]\.test(:80)?$/i),
  },
  {
    why: "an IPv4 address written as one of IPv6 is the same client, and an address keeps its spelling",
    covers: ({ judged }) => /X-Forwarded-For: (::ffff:203\.0\.113\.1|2001:DB8::1)\\r/.test(judged.title),
  },
  {
    why: "a path that a filter writes is normalized, for policies and the upstream",
    covers: ({ suite, judged }) =>
      suite === "policies" &&
      judged.lane.startsWith("edited-") &&
      /:path=(\/x\/\.\.\/admin|\/%61dmin)/.test(judged.title),
  },
  {
    why: "hosts are case-insensitive, also for a rule about the header host or :authority",
    covers: ({ suite, judged }) =>
      suite === "policies" &&
      /^hosts-.*-by-(header|authority)$/.test(judged.lane) &&
      /A\.TEST|a\.Test/.test(judged.title),
  },
  {
    why: "the authorizer's request has neither an empty length nor Envoy's mark of its own calls",
    covers: ({ suite, ...difference }) =>
      suite === "authorizer" &&
      asked(difference.envoy["upstream"] ?? "") === asked(difference.serin["upstream"] ?? "") &&
      ["answers", "answer", "connection"].every((key) => difference.serin[key] === difference.envoy[key]),
  },
  {
    why: "an authorizer that refuses a request with a status that a client cannot get refuses it with 403",
    covers: ({ suite, serin, envoy, judged }) =>
      suite === "authorizer" &&
      serin["answers"] === "403" &&
      asked(serin["upstream"] ?? "") === asked(envoy["upstream"] ?? "") &&
      /HTTP\/1\.1 (101|600) /.test(judged.title),
  },
  {
    why: "an authorizer that refuses a request with 400 does not end the client's connection",
    covers: ({ suite, judged, serin, envoy }) =>
      suite === "authorizer" && judged.title.includes("HTTP/1.1 400 ") && serin["answer"] === envoy["answer"],
  },
  {
    why: "hop-by-hop headers of a response end here, and a response without an end becomes 503",
    covers: ({ suite, judged, serin, envoy }) =>
      suite === "authorizer" &&
      /answer "HTTP\/1\.1 200 OK\\r\\n(connection: x-role|transfer-encoding|")/.test(judged.title) &&
      asked(serin["upstream"] ?? "") === asked(envoy["upstream"] ?? ""),
  },
  {
    why: "an authorizer over HTTP gets a header's bytes unchanged; Envoy replaces those that are not UTF-8",
    covers: (difference) =>
      difference.suite === "authorizer" &&
      differsBy(undefined, /^(x-a: !|content-length: 0|x-envoy-internal: true)$/)(difference),
  },
  {
    why: "Envoy repeats the port that a redirect sets, and a question mark without a query, and names rewritten hosts and unchanged paths in headers of its own",
    covers: ({ suite, ...difference }) =>
      suite === "routes" &&
      difference.serin["answers"] === difference.envoy["answers"] &&
      ["upstream", "answer"].every((key) => plain(difference.serin[key] ?? "") === plain(difference.envoy[key] ?? "")),
  },
  {
    why: "a name in an absolute target may contain underscores",
    covers: ({ judged }) => judged.title.includes("GET http://__proto__/a "),
  },
  {
    why: "a path without a slash gets one, and an address without brackets keeps its last group",
    covers: ({ suite, judged, ...difference }) =>
      suite === "routes" &&
      (differsBy(/^GET \/\S+ HTTP\/1\.1$/, /^GET [^/ ]\S* HTTP\/1\.1$/)({ suite, judged, ...difference }) ||
        judged.title.includes("Host: ::1")),
  },
  { why: "te is forwarded only with the single value trailers", covers: differsBy(undefined, /^te: trailers$/) },
  { why: "http2-settings is a hop-by-hop header", covers: differsBy(undefined, /^http2-settings: /) },
  {
    why: "a method is any name in capitals; rules compare methods exactly, so an unlisted method matches no other method's rule",
    covers: (difference) =>
      difference.envoy["answers"] === "400" && /^(?!GET |POST )[A-Z0-9][A-Z0-9_.-]* \/a HTTP/.test(bytesOf(difference)),
  },
  {
    why: "a path of only slashes becomes one slash if slashes are merged, for policies and the upstream",
    covers: differsBy(/^GET \/ /, /^GET \/\/ /),
  },
  {
    why: "escaped dots beside a parameter are resolved like plain ones, for policies and the upstream",
    covers: (difference) => bytesOf(difference).startsWith("GET /x/%2e%2e;/admin "),
  },
  {
    why: "an absolute target without a path means the root, and the connection's scheme replaces the target's",
    covers: (difference) => /^GET (http:\/\/b\.test\?x|https:\/\/b\.test\/x) /.test(bytesOf(difference)),
  },
  {
    why: "a connection continues if the end of the message is known, in spite of proxy-connection, a requested upgrade or an old version",
    covers: (difference) =>
      /Proxy-Connection: close|Upgrade: websocket|HTTP\/1\.0\r\n/.test(bytesOf(difference)) &&
      difference.serin["connection"] === "goes on",
  },
  {
    why: "frames that do not break our state pass, which RFC 9113 permits",
    covers: ({ suite, judged }) =>
      suite === "http2" &&
      /^(ENABLE_PUSH|a frame of 16385|GOAWAY|PRIORITY|MAX_FRAME_SIZE|WINDOW_UPDATE|HEADERS that depends)/.test(
        judged.title,
      ),
  },
  {
    why: "an invalid upstream response becomes 502, or ends the connection",
    covers: ({ suite, serin }) => suite === "answers" && /^(502|none|)$/.test(serin["answers"] ?? ""),
  },
  {
    why: "a response that cannot have a body is forwarded without one; 103 and hop-by-hop headers end here",
    covers: ({ suite, judged }) =>
      suite === "answers" && /HTTP\/1\.1 (204|304|103|101|100)|Connection: x-a/.test(judged.title),
  },
  {
    why: "a body that cannot be decompressed is refused, or ends the exchange; Envoy forwards what it could decode as a whole body",
    covers: ({ suite, judged, serin }) =>
      suite === "decompressor" &&
      /a broken body|^answer of gzip,br/.test(judged.title) &&
      /^(400|none|)$/.test(serin["answers"] ?? ""),
  },
  {
    why: "a body has the coding of the route's library; Envoy names it and compresses with the filter's own if it tells the status",
    covers: ({ suite, judged, serin }) =>
      suite === "compressor" &&
      judged.lane === "told" &&
      / \/br /.test(judged.title) &&
      /\nbody "br of /.test(serin["answer"] ?? ""),
  },
  {
    why: "a route's library takes part in the choice; Envoy chooses the filter's own, and then sends the plain body",
    covers: ({ suite, judged, serin, envoy }) =>
      suite === "compressor" &&
      judged.lane === "both" &&
      / \/br /.test(judged.title) &&
      /\nbody "br of /.test(serin["answer"] ?? "") &&
      envoy["answer"]?.startsWith("content-encoding") === false,
  },
];

import { onAbort } from "../../../base/index.ts";
import type { FilterCounter, FilterStatistics } from "../../terms/filter-statistics.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import { forbidsTransform, listMembers } from "./accept-encoding.ts";
import type { BodyDecompression, DecompressorLibrary } from "./body-decompression.ts";
import {
  passed,
  responseValue,
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type Later,
  type LocalReply,
  type StreamFilter,
  type StreamOutcome,
  type StreamTail,
} from "../http-filter.ts";

export interface DecompressedDirection {
  readonly enabled: boolean;
  /** Whether messages with `cache-control: no-transform` are decompressed too. */
  readonly ignoresNoTransform: boolean;
}

export interface DecompressorSettings {
  readonly library: DecompressorLibrary;
  readonly libraryName: string;
  readonly request: DecompressedDirection;
  readonly response: DecompressedDirection;
  /** Whether upstreams are told, by `accept-encoding`, that they may compress. */
  readonly advertises: boolean;
}

/** The reply to a request whose body is not in the coding that its head names. */
const badBody: LocalReply = {
  status: 400,
  body: "the body cannot be decompressed",
  headers: [],
  flag: responseFlags.none,
  details: "decompression_failed",
};

export class DecompressorFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: DecompressorSettings;
  readonly #ofRequests: DirectionCounters;
  readonly #ofResponses: DirectionCounters;
  readonly #begun = new WeakMap<FilterRequest, BodyDecompression>();

  /** `statPrefix` ends in a dot. */
  constructor(name: string, settings: DecompressorSettings, statistics: FilterStatistics, statPrefix: string) {
    this.name = name;
    this.idle = !settings.request.enabled && !settings.response.enabled;
    this.#settings = settings;
    const prefix = `${statPrefix}decompressor.${settings.libraryName}.${settings.library.statName}.`;
    this.#ofRequests = new DirectionCounters(statistics, `${prefix}request.`);
    this.#ofResponses = new DirectionCounters(statistics, `${prefix}response.`);
  }

  onRequest(request: FilterRequest, signal: () => AbortSignal): undefined {
    const { advertises, response, request: direction, library } = this.#settings;
    if (response.enabled && advertises)
      request.setHeader("accept-encoding", withCoding(request.values("accept-encoding").join(","), library.coding));
    if (!request.hasBody) return;
    const coding = joinedValues(request.values("content-encoding"));
    const rest = this.#restOf(direction, coding, joinedValues(request.values("cache-control")));
    if (rest === undefined) {
      this.#ofRequests.notDecompressed.increment();
      return;
    }
    request.openLength();
    if (rest === "") request.removeHeader("content-encoding");
    else request.setHeader("content-encoding", rest);
    this.#ofRequests.decompressed.increment();
    this.#begun.set(request, this.#start(signal));
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter {
    const body = this.#begun.get(request);
    const counters = this.#ofRequests;
    return {
      ...(body === undefined
        ? {}
        : {
            requestBody: (bytes, end) => decompressPart(body, bytes, end, counters, failedRequest),
            requestTrailers: (trailers) => decompressTail(body, trailers, counters, failedRequest),
          }),
      ...this.#responseStream(signal),
    };
  }

  #responseStream(signal: () => AbortSignal): StreamFilter {
    let body: BodyDecompression | undefined;
    const counters = this.#ofResponses;
    return {
      responseHead: (response, end) => {
        if (end || response.request.method === "HEAD") return passed;
        const codings = responseValue(response, "content-encoding");
        const rest = this.#restOf(this.#settings.response, codings, responseValue(response, "cache-control"));
        if (rest === undefined) {
          counters.notDecompressed.increment();
          return passed;
        }
        counters.decompressed.increment();
        response.fields = fieldsWith(response, rest);
        body = this.#start(signal);
        return passed;
      },
      responseBody: (bytes, end) => decompressPart(body, bytes, end, counters, failedResponse),
      responseTrailers: (trailers) => decompressTail(body, trailers, counters, failedResponse),
    };
  }

  /**
   * The codings that a message still has after it was decompressed. As in Envoy, only the first coding of the list
   * decides.
   */
  #restOf(
    { enabled, ignoresNoTransform }: DecompressedDirection,
    codings: string | undefined,
    cacheControl: string | undefined,
  ): string | undefined {
    if (!enabled || codings === undefined) return undefined;
    if (!ignoresNoTransform && forbidsTransform(cacheControl)) return undefined;
    const [first = "", ...rest] = listMembers(codings);
    return first.toLowerCase() === this.#settings.library.coding ? rest.join(", ") : undefined;
  }

  #start(signal: () => AbortSignal): BodyDecompression {
    const body = this.#settings.library.start();
    onAbort(signal(), () => body.close());
    return body;
  }
}

function fieldsWith({ fields }: FilterResponse, codings: string): FilterResponse["fields"] {
  const kept = fields.filter(([name]) => name !== "content-length" && name !== "content-encoding");
  return codings === "" ? kept : [...kept, ["content-encoding", codings]];
}

class DirectionCounters {
  readonly decompressed: FilterCounter;
  readonly notDecompressed: FilterCounter;
  readonly compressedBytes: FilterCounter;
  readonly uncompressedBytes: FilterCounter;

  constructor(statistics: FilterStatistics, prefix: string) {
    this.decompressed = statistics.counter(`${prefix}decompressed`);
    this.notDecompressed = statistics.counter(`${prefix}not_decompressed`);
    this.compressedBytes = statistics.counter(`${prefix}total_compressed_bytes`);
    this.uncompressedBytes = statistics.counter(`${prefix}total_uncompressed_bytes`);
  }
}

type Failure = StreamOutcome<never>;

/**
 * Both end the exchange. Envoy passes on the part that it could decode, but a message that was cut off must not look
 * like a whole one.
 */
const failedRequest: Failure = { kind: "reply", reply: badBody };
const failedResponse: Failure = { kind: "abort" };

function decompressPart(
  body: BodyDecompression | undefined,
  bytes: Buffer,
  end: boolean,
  counters: DirectionCounters,
  failure: Failure,
): Later<StreamOutcome<Buffer>> {
  if (body === undefined) return { kind: "pass", part: bytes };
  counters.compressedBytes.add(bytes.length);
  return body.part(bytes, end).then(
    (part) => {
      counters.uncompressedBytes.add(part.length);
      return { kind: "pass", part };
    },
    () => failure,
  );
}

/** Returns the decompressor's remaining output, before the body's trailers. */
async function decompressTail(
  body: BodyDecompression | undefined,
  trailers: readonly string[],
  counters: DirectionCounters,
  failure: Failure,
): Promise<StreamOutcome<StreamTail>> {
  const rest = await decompressPart(body, noBytes, true, counters, failure);
  return rest.kind === "pass" ? { kind: "pass", part: { body: rest.part, trailers } } : rest;
}

const noBytes = Buffer.alloc(0);

function joinedValues(values: readonly string[]): string | undefined {
  return values.length === 0 ? undefined : values.join(",");
}

/**
 * The codings that upstreams may use: those that the client accepts, with this one at the end. An entry of the client
 * for this coding is replaced. As in Envoy, the comparison is case-sensitive.
 */
function withCoding(accepted: string, coding: string): string {
  const others = listMembers(accepted).filter((member) => (member.split(";")[0] ?? "").trim() !== coding);
  return [...others, coding].join(",");
}

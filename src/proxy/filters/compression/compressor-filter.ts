import { onAbort } from "../../../base/index.ts";
import type { FilterStatistics, FilterCounter } from "../../terms/filter-statistics.ts";
import { chooseCoding, forbidsTransform, listMembers, type CodingChoice } from "./accept-encoding.ts";
import type { CompressorLibrary } from "./body-compression.ts";
import {
  passed,
  responseValue,
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type Later,
  type StreamFilter,
  type StreamOutcome,
  type StreamTail,
} from "../http-filter.ts";
import type { TransformedBody } from "./transformed-body.ts";

export interface MessageRules {
  readonly enabled: boolean;
  readonly minBytes: number;
  /** Judges a content type without its parameters. */
  readonly takesType: (type: string) => boolean;
}

export interface ResponseRules extends MessageRules {
  readonly etag: "refuses" | "weakened" | "removed";
  readonly removesAcceptEncoding: boolean;
  readonly uncompressibleStatuses: ReadonlySet<number>;
  readonly showsStatus: boolean;
  /** Whether the names of the filter's statistics contain the direction (request or response). */
  readonly namesDirection: boolean;
}

export interface CompressorSettings {
  readonly library: CompressorLibrary;
  readonly libraryName: string;
  readonly request: MessageRules;
  readonly response: ResponseRules;
  readonly chosenFirst: boolean;
}

/** A route's changes of the settings. Undefined means the filter's own setting. */
export class CompressorOverride {
  readonly enabled: boolean | undefined;
  readonly removesAcceptEncoding: boolean | undefined;
  readonly library: CompressorLibrary | undefined;

  constructor(options: Pick<CompressorOverride, "enabled" | "removesAcceptEncoding" | "library">) {
    this.enabled = options.enabled;
    this.removesAcceptEncoding = options.removesAcceptEncoding;
    this.library = options.library;
  }
}

interface ChainMember {
  readonly coding: string;
  readonly chosenFirst: boolean;
  readonly takesType: MessageRules["takesType"];
}

/**
 * The compressor filters through which an exchange goes. The first one that sees the response decides which of them
 * compresses.
 */
interface Chain {
  readonly members: ChainMember[];
  choice: CodingChoice | undefined;
}

const chains = new WeakMap<FilterRequest, Chain>();

type Obstacle = "ContentLengthTooSmall" | "ContentTypeNotAllowed" | "EtagNotAllowed" | "StatusCodeNotAllowed" | "other";

/**
 * What the streams need from the request's head: the codings that the client accepts, and the compressor of the
 * request's body. Each is undefined if there is none.
 */
interface Taken {
  readonly acceptEncoding: string | undefined;
  readonly body: TransformedBody | undefined;
}

/**
 * The content types of gRPC, whose responses are never compressed. gRPC clients expect its frames, and each message
 * says itself how it is compressed. gRPC-Web is translated to these frames and back outside of the filters.
 */
const grpcType = /^application\/grpc(?:[+;]|$)/i;
const anyGrpcType = /^application\/grpc/i;
const statusField = "x-envoy-compression-status";
const compressedTransfer: ReadonlySet<string> = new Set(["gzip", "br", "deflate", "compress", "zstd"]);

/** Compresses bodies of requests, and bodies of responses for clients that accept a compressed body. */
export class CompressorFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: CompressorSettings;
  readonly #requestCounters: DirectionCounters;
  readonly #responseCounters: ResponseCounters;
  readonly #taken = new WeakMap<FilterRequest, Taken>();

  /** `statPrefix` ends in a dot. */
  constructor(name: string, settings: CompressorSettings, statistics: FilterStatistics, statPrefix: string) {
    this.name = name;
    this.idle = !settings.request.enabled && !settings.response.enabled;
    this.#settings = settings;
    const prefix = `${statPrefix}compressor.${settings.libraryName}.${settings.library.statName}.`;
    this.#requestCounters = new DirectionCounters(statistics, `${prefix}request.`);
    this.#responseCounters = new ResponseCounters(
      statistics,
      settings.response.namesDirection ? `${prefix}response.` : prefix,
      prefix,
    );
  }

  onRequest(request: FilterRequest, signal: () => AbortSignal): undefined {
    const accepted = request.values("accept-encoding");
    const acceptEncoding = accepted.length === 0 ? undefined : accepted.join(",");
    const { enabled, removesAcceptEncoding } = this.#forRoute(request);
    if (enabled && removesAcceptEncoding) request.removeHeader("accept-encoding");
    this.#taken.set(request, { acceptEncoding, body: this.#beginRequest(request, signal) });
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter {
    const { chosenFirst, response } = this.#settings;
    const { library, enabled } = this.#forRoute(request);
    const chain = chains.get(request) ?? { members: [], choice: undefined };
    chains.set(request, chain);
    chain.members.push({ coding: library.coding, chosenFirst, takesType: response.takesType });
    const taken = this.#taken.get(request);
    const requestStream = this.#requestStream(taken?.body);
    if (!enabled) {
      this.#responseCounters.notCompressed.increment();
      return requestStream;
    }
    const facts = { chain, library, acceptEncoding: taken?.acceptEncoding, signal };
    return { ...requestStream, ...this.#responseStream(facts) };
  }

  #forRoute(request: FilterRequest): {
    readonly enabled: boolean;
    readonly removesAcceptEncoding: boolean;
    readonly library: CompressorLibrary;
  } {
    const found = request.route?.filterConfigs.get(this.name);
    const own = found instanceof CompressorOverride ? found : undefined;
    const { response, library } = this.#settings;
    return {
      enabled: own?.enabled ?? response.enabled,
      removesAcceptEncoding: own?.removesAcceptEncoding ?? response.removesAcceptEncoding,
      library: own?.library ?? library,
    };
  }

  #beginRequest(request: FilterRequest, signal: () => AbortSignal): TransformedBody | undefined {
    const counters = this.#requestCounters;
    const { request: rules } = this.#settings;
    const { library } = this.#forRoute(request);
    const length = request.header("content-length");
    const type = request.header("content-type");
    const begins =
      request.hasBody &&
      rules.enabled &&
      isLongEnough(length, rules, counters) &&
      takesContentType(type, rules) &&
      !anyGrpcType.test(type ?? "") &&
      request.header("content-encoding") === undefined &&
      !hasCompressedTransfer(request.header("transfer-encoding"));
    if (!begins) {
      counters.notCompressed.increment();
      return undefined;
    }
    request.openLength();
    request.setHeader("content-encoding", library.coding);
    counters.compressed.increment();
    return startCompression(library, length, signal);
  }

  #requestStream(body: TransformedBody | undefined): StreamFilter {
    const counters = this.#requestCounters;
    if (body === undefined) return {};
    return {
      requestBody: (bytes, end) => compressPart(body, bytes, end, counters),
      requestTrailers: (trailers) => compressTail(body, trailers, counters),
    };
  }

  #responseStream(facts: ResponseFacts): StreamFilter {
    let body: TransformedBody | undefined;
    const { library, signal } = facts;
    const counters = this.#responseCounters;
    return {
      responseHead: (response, end) => {
        const length = responseValue(response, "content-length");
        if (!this.#judge(response, end, facts)) {
          counters.notCompressed.increment();
          return passed;
        }
        counters.compressed.increment();
        body = startCompression(library, length, signal);
        return passed;
      },
      responseBody: (bytes, end) => compressPart(body, bytes, end, counters),
      responseTrailers: (trailers) => compressTail(body, trailers, counters),
    };
  }

  #judge(response: FilterResponse, end: boolean, { chain, library, acceptEncoding }: ResponseFacts): boolean {
    const { response: rules } = this.#settings;
    const length = responseValue(response, "content-length");
    const isEmpty = end || response.request.method === "HEAD";
    const isLong = isLongEnough(length, rules, this.#responseCounters);
    const accepted = isLong && !isEmpty && this.#isAccepted(chain, library, acceptEncoding, response);
    const obstacle = isLong ? this.#obstacle(response) : "ContentLengthTooSmall";
    const compresses =
      accepted && obstacle === undefined && !hasCompressedTransfer(responseValue(response, "transfer-encoding"));
    if (compresses) {
      this.#changeEtag(response);
      const kept = response.fields.filter(([name]) => name !== "content-length");
      response.fields = [...kept, ["content-encoding", library.coding]];
    }
    // Add `vary` even if this client gets the plain body, because a cache must know that other clients may get another
    // body.
    if (obstacle === undefined) addVary(response);
    const outcome = compresses ? `Compressed;OriginalLength=${length ?? ""}` : obstacle;
    if (rules.showsStatus && !isEmpty && outcome !== undefined && outcome !== "other")
      response.fields = [...response.fields, [statusField, `${library.coding};${outcome}`]];
    return compresses;
  }

  /** Why the response is not compressed for any client. If undefined, it may be compressed. */
  #obstacle(response: FilterResponse): Obstacle | undefined {
    const { response: rules } = this.#settings;
    const type = responseValue(response, "content-type");
    if (!takesContentType(type, rules) || grpcType.test(type ?? "")) return "ContentTypeNotAllowed";
    if (rules.etag === "refuses" && responseValue(response, "etag") !== undefined) {
      this.#responseCounters.notCompressedEtag.increment();
      return "EtagNotAllowed";
    }
    if (rules.uncompressibleStatuses.has(response.status)) return "StatusCodeNotAllowed";
    const isFixed = forbidsTransform(responseValue(response, "cache-control"));
    return isFixed || responseValue(response, "content-encoding") !== undefined ? "other" : undefined;
  }

  /**
   * Whether the client accepts this coding, and prefers it to the codings of other compressor filters that the response
   * passes.
   */
  #isAccepted(
    chain: Chain,
    { coding }: CompressorLibrary,
    acceptEncoding: string | undefined,
    response: FilterResponse,
  ): boolean {
    const counters = this.#responseCounters;
    if (acceptEncoding === undefined) {
      counters.noAcceptHeader.increment();
      return false;
    }
    const type = responseValue(response, "content-type");
    const offered = chain.members.filter((member) => takesContentType(type, member));
    const { coding: chosen, by } = (chain.choice ??= chooseCoding(acceptEncoding, offered));
    if (by === "coding") {
      if (chosen === coding) counters.headerCompressorUsed.increment();
      else counters.headerCompressorOvershadowed.increment();
    } else if (by === "identity") counters.headerIdentity.increment();
    else if (by === "wildcard") counters.headerWildcard.increment();
    else counters.headerNotValid.increment();
    return chosen === coding;
  }

  /** Weakens or removes the etag. A strong validator promises the same bytes, so a changed body must not keep it. */
  #changeEtag(response: FilterResponse): void {
    const etag = responseValue(response, "etag");
    if (etag === undefined || /^w\//i.test(etag)) return;
    const weak = this.#settings.response.etag === "weakened" ? [["etag", `W/${etag}`] as const] : [];
    response.fields = [...response.fields.filter(([name]) => name !== "etag"), ...weak];
  }
}

interface ResponseFacts {
  readonly chain: Chain;
  readonly library: CompressorLibrary;
  readonly acceptEncoding: string | undefined;
  readonly signal: () => AbortSignal;
}

class DirectionCounters {
  readonly compressed: FilterCounter;
  readonly notCompressed: FilterCounter;
  readonly uncompressedBytes: FilterCounter;
  readonly compressedBytes: FilterCounter;
  readonly tooSmall: FilterCounter;

  constructor(statistics: FilterStatistics, prefix: string) {
    this.compressed = statistics.counter(`${prefix}compressed`);
    this.notCompressed = statistics.counter(`${prefix}not_compressed`);
    this.uncompressedBytes = statistics.counter(`${prefix}total_uncompressed_bytes`);
    this.compressedBytes = statistics.counter(`${prefix}total_compressed_bytes`);
    this.tooSmall = statistics.counter(`${prefix}content_length_too_small`);
  }
}

class ResponseCounters extends DirectionCounters {
  readonly noAcceptHeader: FilterCounter;
  readonly headerIdentity: FilterCounter;
  readonly headerWildcard: FilterCounter;
  readonly headerCompressorUsed: FilterCounter;
  readonly headerCompressorOvershadowed: FilterCounter;
  readonly headerNotValid: FilterCounter;
  readonly notCompressedEtag: FilterCounter;

  /**
   * `prefix` may contain the direction. Counters that only exist for responses are named with `shared`, as in Envoy.
   */
  constructor(statistics: FilterStatistics, prefix: string, shared: string) {
    super(statistics, prefix);
    this.noAcceptHeader = statistics.counter(`${shared}no_accept_header`);
    this.headerIdentity = statistics.counter(`${shared}header_identity`);
    this.headerWildcard = statistics.counter(`${shared}header_wildcard`);
    this.headerCompressorUsed = statistics.counter(`${shared}header_compressor_used`);
    this.headerCompressorOvershadowed = statistics.counter(`${shared}header_compressor_overshadowed`);
    this.headerNotValid = statistics.counter(`${shared}header_not_valid`);
    this.notCompressedEtag = statistics.counter(`${shared}not_compressed_etag`);
  }
}

/** Begins to compress a body. The compressor ends with the exchange. */
function startCompression(
  library: CompressorLibrary,
  length: string | undefined,
  signal: () => AbortSignal,
): TransformedBody {
  const body = library.start(length === undefined ? undefined : Number(length));
  onAbort(signal(), () => body.close());
  return body;
}

function compressPart(
  body: TransformedBody | undefined,
  bytes: Buffer,
  end: boolean,
  counters: DirectionCounters,
): Later<StreamOutcome<Buffer>> {
  if (body === undefined) return { kind: "pass", part: bytes };
  counters.uncompressedBytes.add(bytes.length);
  return body.part(bytes, end).then((part) => {
    counters.compressedBytes.add(part.length);
    return { kind: "pass", part };
  });
}

/** Returns the compressor's remaining output, before the body's trailers. */
async function compressTail(
  body: TransformedBody | undefined,
  trailers: readonly string[],
  counters: DirectionCounters,
): Promise<StreamOutcome<StreamTail>> {
  const rest = await compressPart(body, noBytes, true, counters);
  return rest.kind === "pass" ? { kind: "pass", part: { body: rest.part, trailers } } : rest;
}

const noBytes = Buffer.alloc(0);

function membersOf(list: string | undefined): readonly string[] {
  return listMembers(list ?? "").map((member) => member.toLowerCase());
}

/** Whether the body is long enough to be compressed. A body of unknown length counts as long. */
function isLongEnough(
  length: string | undefined,
  { minBytes }: MessageRules,
  { tooSmall }: DirectionCounters,
): boolean {
  if (length === undefined || Number(length) >= minBytes) return true;
  tooSmall.increment();
  return false;
}

function takesContentType(field: string | undefined, { takesType }: Pick<MessageRules, "takesType">): boolean {
  return field === undefined || takesType((field.split(";")[0] ?? "").trim());
}

function hasCompressedTransfer(field: string | undefined): boolean {
  return membersOf(field).some((coding) => compressedTransfer.has(coding));
}

function addVary(response: FilterResponse): void {
  const vary = responseValue(response, "vary");
  if (membersOf(vary).includes("accept-encoding")) return;
  const value = vary === undefined ? "Accept-Encoding" : `${vary}, Accept-Encoding`;
  response.fields = [...response.fields.filter(([name]) => name !== "vary"), ["vary", value]];
}

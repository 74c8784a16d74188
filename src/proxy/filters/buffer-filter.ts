import { bodyTooLarge, type FilterRequest, type HttpFilter, type LocalReply } from "./http-filter.ts";

export class BufferSettings {
  /** The size of the largest body that may pass. If undefined, bodies pass as they arrive. */
  readonly maxBytes: number | undefined;

  constructor(maxBytes: number | undefined) {
    this.maxBytes = maxBytes;
  }
}

export class BufferFilter implements HttpFilter {
  readonly name: string;
  readonly #settings: BufferSettings;

  constructor(name: string, settings: BufferSettings) {
    this.name = name;
    this.#settings = settings;
  }

  onRequest(request: FilterRequest): LocalReply | undefined | Promise<LocalReply | undefined> {
    const own = request.route?.filterConfigs.get(this.name);
    const { maxBytes } = own instanceof BufferSettings ? own : this.#settings;
    if (maxBytes === undefined || !request.hasBody) return undefined;
    // If the client announced the length, refuse a body that is too large without reading it.
    if (Number(request.header("content-length") ?? 0) > maxBytes) return bodyTooLarge;
    return hold(request, maxBytes);
  }
}

async function hold(request: FilterRequest, maxBytes: number): Promise<LocalReply | undefined> {
  const { bytes, isWhole } = await request.bodyStart(maxBytes);
  if (!isWhole) return bodyTooLarge;
  // Replace the body, which gives it a length, only if it has no trailers. In HTTP/1.1, only a chunked body can have
  // trailers.
  if (request.header("content-length") === undefined && (request.trailers ?? []).length === 0)
    request.replaceBody(bytes);
  return undefined;
}

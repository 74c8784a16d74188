import { bodyTooLarge, type FilterRequest, type HttpFilter, type LocalReply } from "./http-filter.ts";

export class BufferSettings {
  /** The size of the largest body that may pass. If undefined, bodies pass as they arrive. */
  readonly maxBytes: number | undefined;

  constructor(maxBytes: number | undefined) {
    this.maxBytes = maxBytes;
  }
}

/** Holds requests until their whole body has arrived, and refuses bodies that are too large. */
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
    // Compare the announced length: a body with a `content-length` need not be read for that.
    if (Number(request.header("content-length") ?? 0) > maxBytes) return bodyTooLarge;
    return hold(request, maxBytes);
  }
}

async function hold(request: FilterRequest, maxBytes: number): Promise<LocalReply | undefined> {
  const { bytes, isWhole } = await request.bodyStart(maxBytes);
  if (!isWhole) return bodyTooLarge;
  // HTTP/1.1 can carry trailers only after a chunked body, so a body with trailers must not get a length.
  if (request.header("content-length") === undefined && (request.trailers ?? []).length === 0)
    request.replaceBody(bytes);
  return undefined;
}

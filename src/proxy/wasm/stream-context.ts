import { buffers, maps } from "./abi.ts";
import type { AttributeMap, Side } from "./messages.ts";
import type { Pairs } from "./pairs.ts";

export class FieldMap {
  #pairs: (readonly [name: string, value: string])[];
  changed = false;

  constructor(pairs: Pairs) {
    this.#pairs = [...pairs];
  }

  get pairs(): Pairs {
    return this.#pairs;
  }

  get(name: string): string | undefined {
    return this.#pairs.find(([other]) => other === name)?.[1];
  }

  setAll(pairs: Pairs): void {
    this.#pairs = [...pairs];
    this.changed = true;
  }

  add(name: string, value: string): void {
    this.#pairs.push([name, value]);
    this.changed = true;
  }

  remove(name: string): void {
    this.#pairs = this.#pairs.filter(([other]) => other !== name);
    this.changed = true;
  }

  /** Replaces the first field with the name, and removes its other fields. */
  replace(name: string, value: string): void {
    const at = this.#pairs.findIndex(([other]) => other === name);
    if (at < 0) this.#pairs.push([name, value]);
    else
      this.#pairs = this.#pairs.flatMap((pair, index) =>
        index === at ? [[name, value]] : pair[0] === name ? [] : [pair],
      );
    this.changed = true;
  }
}

/** The held part of a body, as the module sees it during a call. */
export class BodyBuffer {
  bytes: Buffer = Buffer.alloc(0);
  /** Whether the module may read and write the body: during a call with the body, and while it pauses this message. */
  open = false;

  /** Replaces `length` bytes from `start` on. As the ABI demands, a start beyond the end appends. */
  set(start: number, length: number, value: Buffer): void {
    const from = Math.min(start, this.bytes.length);
    const to = Math.min(from + length, this.bytes.length);
    this.bytes = Buffer.concat([this.bytes.subarray(0, from), value, this.bytes.subarray(to)]);
  }

  take(): Buffer {
    const { bytes } = this;
    this.bytes = Buffer.alloc(0);
    this.open = false;
    return bytes;
  }
}

export class StreamContext {
  readonly id: number;
  readonly root: number;
  attributes: AttributeMap;
  readonly #maps = new Map<number, FieldMap>();
  readonly request = new BodyBuffer();
  readonly response = new BodyBuffer();
  readonly properties = new Map<string, Buffer>();
  /** Whether the context stays open until the module reports that it has finished. */
  waitsForDone = false;
  ended = false;

  constructor(id: number, root: number, attributes: AttributeMap) {
    this.id = id;
    this.root = root;
    this.attributes = attributes;
  }

  setMap(map: number, fields: Pairs): FieldMap {
    const made = new FieldMap(fields);
    this.#maps.set(map, made);
    return made;
  }

  map(map: number): FieldMap | undefined {
    return this.#maps.get(map);
  }

  *changedMaps(): Iterable<readonly [map: number, fields: FieldMap]> {
    for (const [map, fields] of this.#maps) {
      if (!fields.changed) continue;
      fields.changed = false;
      yield [map, fields];
    }
  }

  body(side: Side): BodyBuffer {
    return side === "request" ? this.request : this.response;
  }

  buffer(type: number): BodyBuffer | undefined {
    const found =
      type === buffers.requestBody ? this.request : type === buffers.responseBody ? this.response : undefined;
    return found?.open === true ? found : undefined;
  }
}

export function headersMap(side: Side): number {
  return side === "request" ? maps.requestHeaders : maps.responseHeaders;
}

export function trailersMap(side: Side): number {
  return side === "request" ? maps.requestTrailers : maps.responseTrailers;
}

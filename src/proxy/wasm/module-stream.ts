import { ChunkQueue } from "../../net/index.ts";
import { action } from "./abi.ts";
import {
  bodyTooLarge,
  passed,
  type FilterRequest,
  type FilterResponse,
  type LocalReply,
  type StreamFilter,
  type StreamOutcome,
  type StreamTail,
} from "../filters/http-filter.ts";
import { moduleFailedReply } from "../filters/lazy-wasm-filter.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { AttributeMap, Effect, MachineAnswer, Side, StreamEvent } from "./messages.ts";
import type { StreamReceiver } from "./module-machine.ts";
import type { PluginSession } from "./module-plugin.ts";
import type { Pairs } from "./pairs.ts";
import { headersMap, trailersMap } from "./stream-context.ts";
import { tooLarge } from "./virtual-machine.ts";

export interface ModuleStreamOptions {
  readonly session: PluginSession;
  readonly request: FilterRequest;
  readonly attributes: AttributeMap;
  readonly passesOnFailure: boolean;
  /** Stores a property that the module has set, so that later modules can read it. */
  readonly setProperty: (path: string, value: Uint8Array) => void;
}

interface SideState {
  fields: Pairs;
  trailers: Pairs;
  /** The bytes that the module holds back. They continue if the module fails and messages may pass without it. */
  readonly held: ChunkQueue;
  /** The bytes that the module has released early. They continue with the next part. */
  readonly released: ChunkQueue;
  /** Whether the module has let the message continue during the current event. */
  resumed: boolean;
  waiting: (() => void) | undefined;
}

const noBytes = Buffer.alloc(0);
/** How many times held bytes are stored: here, and in the module's thread. */
const holders = 2;
/** The headers that modules do not see. They belong to the connection, or the proxy writes them itself. */
const hiddenFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
]);

export class ModuleStream implements StreamFilter, StreamReceiver {
  readonly #options: ModuleStreamOptions;
  readonly #sides: Readonly<Record<Side, SideState>> = { request: newSide(), response: newSide() };
  #id = 0;
  #reply: LocalReply | undefined;
  #replied = false;
  #closed = false;
  #failed = false;
  #over = false;

  constructor(options: ModuleStreamOptions) {
    this.#options = options;
  }

  /** Gives the request's head to the module. The outcome contains the head with the module's changes. */
  async requestHead(fields: Pairs, end: boolean): Promise<StreamOutcome<Pairs>> {
    const { session, attributes } = this.#options;
    const event: StreamEvent = { kind: "headers", side: "request", fields, end };
    this.#sides.request.fields = fields;
    return await this.#head("request", async () => {
      const answer = await session.machine.open(session.root, attributes, event, {
        effect: (effect) => this.effect(effect),
        moduleFailed: () => this.moduleFailed(),
      });
      this.#id = answer.context;
      if (this.#over) session.machine.closeStream(this.#id);
      return answer;
    });
  }

  async requestBody(bytes: Buffer, end: boolean): Promise<StreamOutcome<Buffer>> {
    return await this.#body("request", bytes, end);
  }

  async requestTrailers(fields: readonly string[]): Promise<StreamOutcome<StreamTail>> {
    return await this.#trailers("request", fields);
  }

  async responseHead(response: FilterResponse, end: boolean): Promise<StreamOutcome<undefined>> {
    if (!this.#takesPart) return passed;
    const fields: Pairs = [
      [":status", String(response.status)],
      ...response.fields.filter(([name]) => !hiddenFields.has(name)),
    ];
    this.#sides.response.fields = fields;
    const attributes = { ...this.#options.attributes, response: { code: response.status } };
    const outcome = await this.#head("response", () =>
      this.#options.session.machine.event(this.#id, { kind: "headers", side: "response", fields, end }, attributes),
    );
    if (outcome.kind !== "pass") return outcome;
    if (outcome.part === fields) return passed;
    const status = Number(outcome.part.find(([name]) => name === ":status")?.[1]);
    if (Number.isInteger(status) && status >= 200 && status <= 599) response.status = status;
    response.fields = outcome.part.filter(([name]) => !name.startsWith(":") && !hiddenFields.has(name));
    return passed;
  }

  async responseBody(bytes: Buffer, end: boolean): Promise<StreamOutcome<Buffer>> {
    return await this.#body("response", bytes, end);
  }

  async responseTrailers(fields: readonly string[]): Promise<StreamOutcome<StreamTail>> {
    return await this.#trailers("response", fields);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const { held, released } of Object.values(this.#sides)) {
      held.clear();
      released.clear();
    }
    if (this.#id !== 0 && !this.#failed) this.#options.session.machine.closeStream(this.#id);
  }

  effect(effect: Effect): void {
    switch (effect.kind) {
      case "fields":
        this.#takeFields(effect.map, effect.fields);
        break;
      case "continue": {
        const side = this.#sides[effect.side];
        side.resumed = true;
        this.#drop(side);
        if (effect.body !== undefined && effect.body.length > 0) side.released.push(bufferOf(effect.body));
        side.waiting?.();
        break;
      }
      case "reply":
        // A module also processes the response that it has made itself, but must not replace this response by another
        // one.
        if (!this.#replied) {
          const { status, body, fields, details, grpcStatus } = effect.reply;
          this.#reply = {
            status,
            body: bufferOf(body).toString("utf8"),
            headers: fields,
            flag: responseFlags.none,
            details,
            ...(grpcStatus === undefined ? {} : { grpcStatus }),
          };
        }
        this.#wake();
        break;
      case "close":
        this.#closed = true;
        this.#wake();
        break;
      case "clear-route":
        if (!this.#sides.response.resumed && this.#sides.response.fields.length === 0)
          this.#options.request.clearRoute();
        break;
      case "property":
        this.#options.setProperty(effect.path, effect.value);
        break;
    }
  }

  moduleFailed(): void {
    this.#failed = true;
    this.#wake();
  }

  get #takesPart(): boolean {
    return this.#id !== 0 && !this.#failed && !this.#over;
  }

  #takeFields(map: number, fields: Pairs): void {
    for (const side of ["request", "response"] as const) {
      if (map === headersMap(side)) this.#sides[side].fields = fields;
      if (map === trailersMap(side)) this.#sides[side].trailers = fields;
    }
  }

  #wake(): void {
    for (const side of Object.values(this.#sides)) side.waiting?.();
  }

  async #head(side: Side, ask: () => Promise<MachineAnswer>): Promise<StreamOutcome<Pairs>> {
    const state = this.#sides[side];
    const stopped = await this.#settle(side, ask, true);
    return stopped ?? { kind: "pass", part: state.fields };
  }

  async #body(side: Side, bytes: Buffer, end: boolean): Promise<StreamOutcome<Buffer>> {
    const state = this.#sides[side];
    if (!this.#takesPart) return this.#withoutModule(state, bytes);
    state.held.push(bytes);
    this.#options.request.bodyHeld(holders * bytes.length);
    let passed: Buffer = noBytes;
    const stopped = await this.#settle(
      side,
      async () => {
        const answer = await this.#options.session.machine.event(this.#id, { kind: "body", side, bytes, end });
        if (answer.body !== undefined) passed = bufferOf(answer.body);
        if (answer.action === action.continue) this.#drop(state);
        return answer;
      },
      end,
    );
    if (stopped !== undefined) return stopped;
    return { kind: "pass", part: this.#partOf(state, passed) };
  }

  async #trailers(side: Side, trailers: readonly string[]): Promise<StreamOutcome<StreamTail>> {
    const state = this.#sides[side];
    if (!this.#takesPart) {
      const outcome = this.#withoutModule(state, noBytes);
      return outcome.kind === "pass" ? { kind: "pass", part: { body: outcome.part, trailers } } : outcome;
    }
    const fields = pairsOf(trailers);
    state.trailers = fields;
    let passed: Buffer = noBytes;
    const stopped = await this.#settle(
      side,
      async () => {
        const answer = await this.#options.session.machine.event(this.#id, { kind: "trailers", side, fields });
        if (answer.body !== undefined) passed = bufferOf(answer.body);
        if (answer.action === action.continue) this.#drop(state);
        return answer;
      },
      true,
    );
    if (stopped !== undefined) return stopped;
    return { kind: "pass", part: { body: this.#partOf(state, passed), trailers: state.trailers.flat() } };
  }

  /**
   * The bytes that continue now: those that the module released early, those that it held if it has failed, and those
   * that it passes now.
   */
  #partOf({ released, held }: SideState, passed: Buffer): Buffer {
    return Buffer.concat([released.takeAll(), this.#failed ? this.#takeHeld(held) : noBytes, passed]);
  }

  /** Drops the held bytes, because the module has passed them on or replaced them. */
  #drop({ held }: SideState): void {
    this.#options.request.bodyHeld(-holders * held.clear());
  }

  #takeHeld(held: ChunkQueue): Buffer {
    const bytes = held.takeAll();
    this.#options.request.bodyHeld(-holders * bytes.length);
    return bytes;
  }

  /** Passes a part without the module, which does not process the stream or has failed. */
  #withoutModule(state: SideState, bytes: Buffer): StreamOutcome<Buffer> {
    if (this.#failed && !this.#options.passesOnFailure && !this.#replied) return this.#answer(moduleFailedReply);
    return { kind: "pass", part: Buffer.concat([state.released.takeAll(), this.#takeHeld(state.held), bytes]) };
  }

  /**
   * Calls the module, and waits until the message continues. If `whole` is false, the held part may continue together
   * with a later part. Returns undefined if the message continues.
   */
  async #settle(
    side: Side,
    ask: () => Promise<MachineAnswer>,
    whole: boolean,
  ): Promise<Exclude<StreamOutcome<never>, { readonly kind: "pass" }> | undefined> {
    const state = this.#sides[side];
    state.resumed = false;
    let chosen: number = action.continue;
    try {
      chosen = (await ask()).action;
    } catch {
      this.#failed = true;
    }
    for (;;) {
      if (this.#closed) return { kind: "abort" };
      if (this.#reply !== undefined) return this.#answer(this.#reply);
      if (this.#failed)
        return this.#options.passesOnFailure || this.#replied ? undefined : this.#answer(moduleFailedReply);
      if (chosen === tooLarge) return this.#answer(side === "request" ? bodyTooLarge : responseTooLarge);
      if (chosen === action.continue || state.resumed || !whole) return undefined;
      await new Promise<void>((resolve) => {
        state.waiting = resolve;
      });
      state.waiting = undefined;
    }
  }

  #answer(reply: LocalReply): { readonly kind: "reply"; readonly reply: LocalReply } {
    this.#reply = undefined;
    this.#replied = true;
    return { kind: "reply", reply };
  }
}

const responseTooLarge: LocalReply = {
  status: 500,
  body: "",
  headers: [],
  flag: responseFlags.none,
  details: "response_payload_too_large",
};

function newSide(): SideState {
  return {
    fields: [],
    trailers: [],
    held: new ChunkQueue(),
    released: new ChunkQueue(),
    resumed: false,
    waiting: undefined,
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function pairsOf(flat: readonly string[]): Pairs {
  return flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? ""] as const] : []));
}

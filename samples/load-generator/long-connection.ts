// Clients that hold a connection for a while, check every byte that comes back, and report how it ended.
import { connect } from "node:net";
import { WebSocket } from "ws";
import { downloadEnd, downloadLine, goodbye, goingAway } from "../streams/stream-protocol.ts";
import type { ConnectionTarget } from "./load-plan.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { get } = process.getBuiltinModule("node:http");

/**
 * How a connection ended. `ended`: it lived for its time. `goodbye`: the server's pod was stopped. `closed`: anything
 * else. `refused`: nothing ever came back.
 */
export interface ConnectionEnd {
  readonly how: "ended" | "goodbye" | "closed" | "refused";
  readonly cause: string;
}

export interface HoldOptions {
  readonly seconds: number;
  readonly messageEveryMs?: number | undefined;
  /** Aborts when this process must end. */
  readonly signal: AbortSignal;
}

const defaultMessageEveryMs = 200;
const silenceMs = 10_000;
const normalClose = 1000;
const padding = "x".repeat(500);

export function hold(target: ConnectionTarget, options: HoldOptions): Promise<ConnectionEnd> {
  return new Promise((resolve) => begin(target, options, new Held(options, resolve)));
}

function begin({ kind, url }: ConnectionTarget, options: HoldOptions, held: Held): void {
  if (kind === "tcp") holdTcp(new URL(url), options, held);
  else if (kind === "websocket") holdWebSocket(url, options, held);
  else holdDownload(url, options, held);
}

/** The shared part of the three protocols: regular responses, one end, and the clean-up at the end. */
class Held {
  answers = 0;
  readonly #resolve: (end: ConnectionEnd) => void;
  readonly #signal: AbortSignal;
  readonly #silence: NodeJS.Timeout;
  readonly #abandon = (): void => this.end("closed", "this generator ends");
  #cleanups: (() => void)[] = [];
  #over = false;

  constructor({ signal }: HoldOptions, resolve: (end: ConnectionEnd) => void) {
    this.#resolve = resolve;
    this.#signal = signal;
    this.#silence = setTimeout(
      () => this.end("closed", `silent for ${silenceMs / 1000} s after ${this.answers} answers`),
      silenceMs,
    );
    signal.addEventListener("abort", this.#abandon);
  }

  onEnd(cleanup: () => void): void {
    this.#cleanups.push(cleanup);
  }

  answered(): void {
    this.answers += 1;
    this.#silence.refresh();
  }

  end(how: ConnectionEnd["how"], cause: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#silence);
    this.#signal.removeEventListener("abort", this.#abandon);
    for (const cleanup of this.#cleanups) cleanup();
    this.#resolve({ how: how === "closed" && this.answers === 0 ? "refused" : how, cause });
  }
}

/** Sends numbered messages until the time is over, then waits for the last response and calls `finish`. */
class Conversation {
  sent = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(held: Held, { seconds, messageEveryMs }: HoldOptions, send: (text: string) => void, finish: () => void) {
    const deadline = performance.now() + seconds * 1000;
    this.#timer = setInterval(() => {
      if (performance.now() < deadline) {
        send(`message ${this.sent} ${padding}`);
        this.sent += 1;
      } else if (held.answers === this.sent) {
        clearInterval(this.#timer);
        finish();
      }
    }, messageEveryMs ?? defaultMessageEveryMs);
    held.onEnd(() => clearInterval(this.#timer));
  }
}

function holdTcp({ hostname, port }: URL, options: HoldOptions, held: Held): void {
  const socket = connect(Number(port), hostname);
  let rest = "";
  let finishing = false;
  let problem = "closed by the other side";
  socket.setNoDelay(true);
  socket.setEncoding("utf8");
  held.onEnd(() => socket.destroy());
  const finish = (): void => {
    finishing = true;
    socket.end();
  };
  socket.on("connect", () => void new Conversation(held, options, (text) => socket.write(`${text}\n`), finish));
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === goodbye) held.end("goodbye", "the server's pod ends");
      else if (line === `echo message ${held.answers} ${padding}`) held.answered();
      else held.end("closed", `the wrong line after ${held.answers} answers: ${line.slice(0, 60)}`);
    }
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    problem = error.code ?? error.message;
  });
  socket.on("close", () => held.end(finishing ? "ended" : "closed", `${problem} after ${held.answers} answers`));
}

function holdWebSocket(url: string, options: HoldOptions, held: Held): void {
  const socket = new WebSocket(url);
  let finishing = false;
  let problem = "";
  held.onEnd(() => socket.terminate());
  const finish = (): void => {
    finishing = true;
    socket.close(normalClose);
  };
  socket.on("open", () => void new Conversation(held, options, (text) => socket.send(text), finish));
  socket.on("message", (data: Buffer) => {
    if (data.toString("utf8") === `message ${held.answers} ${padding}`) held.answered();
    else held.end("closed", `the wrong message after ${held.answers} answers`);
  });
  socket.on("error", (error) => {
    problem = ` ${error.message}`;
  });
  socket.on("close", (code, reason) => {
    if (code === goingAway && reason.toString() === goodbye) held.end("goodbye", "the server's pod ends");
    else
      held.end(
        finishing && code === normalClose ? "ended" : "closed",
        `status ${code}${problem} after ${held.answers} answers`,
      );
  });
}

function holdDownload(url: string, { seconds, messageEveryMs }: HoldOptions, held: Held): void {
  const pace = messageEveryMs === undefined ? "" : `&everyMs=${messageEveryMs}`;
  const outgoing = get(`${url}?seconds=${seconds}${pace}`, { agent: false }, (response) => {
    let rest = "";
    const take = (line: string): void => {
      if (line === goodbye) held.end("goodbye", "the server's pod ends");
      else if (`${line}\n` === downloadLine(held.answers)) held.answered();
      else if (`${line}\n` === downloadEnd(held.answers)) held.end("ended", "whole");
      else
        held.end(
          "closed",
          `the wrong line after ${held.answers} (status ${response.statusCode ?? 0}): ${line.slice(0, 60)}`,
        );
    };
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) take(line);
    });
    response.on("error", (error) => held.end("closed", `${error.message} after ${held.answers} lines`));
    response.on("close", () => held.end("closed", `closed after ${held.answers} lines`));
  });
  held.onEnd(() => outgoing.destroy());
  outgoing.on("error", (error: NodeJS.ErrnoException) =>
    held.end("closed", `${error.code ?? error.message} after ${held.answers} lines`),
  );
}

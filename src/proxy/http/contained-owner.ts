import type { MessageHead } from "../../wire/http1/index.ts";
import type { UpstreamAnswer } from "./answer.ts";
import type { AttemptsOwner } from "./attempts.ts";
import type { ReplyRow } from "./reply-table.ts";

/**
 * Passes the upstream's events on to an exchange. If the exchange throws, only this exchange ends: the upstream's
 * connection, which calls this, may serve others too.
 */
export class ContainedOwner implements AttemptsOwner {
  readonly #exchange: AttemptsOwner;

  constructor(exchange: AttemptsOwner) {
    this.#exchange = exchange;
  }

  get answerStarted(): boolean {
    return this.#exchange.answerStarted;
  }

  interimAnswer(head: MessageHead): void {
    try {
      this.#exchange.interimAnswer(head);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  answered(upstream: UpstreamAnswer): void {
    try {
      this.#exchange.answered(upstream);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  answerBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    try {
      this.#exchange.answerBody(bytes, from, to, last);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  answerTrailers(fields: readonly string[]): void {
    try {
      this.#exchange.answerTrailers(fields);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  switched(head: MessageHead, from: number, to: number, sentAtMs: number): void {
    try {
      this.#exchange.switched(head, from, to, sentAtMs);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  tunnelBytes(bytes: Buffer): void {
    try {
      this.#exchange.tunnelBytes(bytes);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  tunnelEnded(isComplete: boolean): void {
    try {
      this.#exchange.tunnelEnded(isComplete);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  failed(reply: ReplyRow): void {
    try {
      this.#exchange.failed(reply);
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }

  faulted(error: unknown): void {
    this.#exchange.faulted(error);
  }

  upstreamTakesMore(): void {
    try {
      this.#exchange.upstreamTakesMore();
    } catch (error) {
      this.#exchange.faulted(error);
    }
  }
}

import { userError } from "../../base/index.ts";
import type { Subscription } from "./subscription.ts";

/** The maximum total length of the names that are stored for this stream alone, of all types together. */
const maxNameCharacters = 8 << 20;

/** Counts the memory that only one client makes its stream keep. */
export class StreamMemory {
  readonly #subscriptions: ReadonlyMap<string, Subscription>;
  readonly #keep: (bytes: number) => void;
  #keptBytes = 0;
  /** The part of an unread answer that no other stream shares: the names that do not exist. */
  #unreadBytes = 0;

  /** Counts with `keep`, which takes an estimate of the memory and throws if that is too much. */
  constructor(subscriptions: ReadonlyMap<string, Subscription>, keep: (bytes: number) => void) {
    this.#subscriptions = subscriptions;
    this.#keep = keep;
  }

  /** Whether an answer waits for a client that does not read. */
  get hasUnread(): boolean {
    return this.#unreadBytes > 0;
  }

  /** Counts what a request has added. Throws if the client makes the stream keep too much. */
  refuseTooMuch(): void {
    let characters = 0;
    for (const subscription of this.#subscriptions.values()) characters += subscription.characters;
    if (characters > maxNameCharacters)
      throw userError(
        "bad-request",
        `the names that a stream subscribes to may have at most ${maxNameCharacters} characters together`,
      );
    this.#count(this.#ownBytes);
  }

  /**
   * Counts an answer. As long as the client has not read it, it stays in memory, whatever the client requests
   * meanwhile.
   */
  sentNames(bytes: number, isRead: boolean): void {
    if (!isRead) this.#unreadBytes = bytes;
    this.#countLess();
  }

  read(): void {
    if (!this.hasUnread) return;
    this.#unreadBytes = 0;
    this.#countLess();
  }

  /**
   * Counts again after an answer, which frees the names that the client claimed. The count never grows here, because a
   * push must not end the stream.
   */
  #countLess(): void {
    const bytes = this.#ownBytes;
    if (bytes < this.#keptBytes) this.#count(bytes);
  }

  #count(bytes: number): void {
    this.#keep(bytes);
    this.#keptBytes = bytes;
  }

  get #ownBytes(): number {
    let bytes = this.#unreadBytes;
    for (const subscription of this.#subscriptions.values()) bytes += subscription.bytes;
    return bytes;
  }
}

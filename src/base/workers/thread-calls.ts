import { messageOf, transientError } from "../index.ts";

/** The calls by name, each with its argument and its result. Both must be data that can be cloned. */
export type CallTable = Readonly<Record<string, (argument: never) => unknown>>;

type Message =
  | { readonly call: number; readonly name: string; readonly argument: unknown }
  | { readonly answer: number; readonly value?: unknown; readonly error?: string };

export interface MessageEnd {
  postMessage(message: Message): void;
  on(event: "message", listener: (message: Message) => void): unknown;
}

export type Handlers<Calls> = {
  readonly [Name in keyof Calls]: Calls[Name] extends (argument: infer Argument) => infer Answer
    ? (argument: Argument) => Answer | Promise<Answer>
    : never;
};

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The maximum number of calls to the other thread that wait for their answer. */
const maxWaiting = 10_000;

/** Calls between two threads, in both directions. The calls from one end arrive in their order. */
export class ThreadCalls<Theirs extends CallTable, Ours extends CallTable> {
  readonly #end: MessageEnd;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #closed: Error | undefined;

  constructor(end: MessageEnd, handlers: Handlers<Ours>) {
    this.#end = end;
    end.on("message", (message) => {
      if ("call" in message) void this.#answer(message, handlers);
      else this.#settle(message);
    });
  }

  /** Calls the other thread. Rejects with the error that it throws, or if it has ended. */
  call<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      if (this.#waiting.size >= maxWaiting)
        return reject(transientError("busy", `more than ${maxWaiting} calls wait for a thread`));
      this.#last += 1;
      this.#waiting.set(this.#last, { resolve, reject });
      this.#end.postMessage({ call: this.#last, name, argument });
    });
  }

  /** To be called when the other thread has ended. Rejects the calls that wait. */
  close(error: Error): void {
    this.#closed = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async #answer(
    { call, name, argument }: Extract<Message, { readonly call: number }>,
    handlers: Handlers<Ours>,
  ): Promise<void> {
    try {
      const handle = handlers[name] as (argument: unknown) => unknown;
      this.#end.postMessage({ answer: call, value: await handle(argument) });
    } catch (error) {
      this.#end.postMessage({ answer: call, error: messageOf(error) });
    }
  }

  #settle({ answer, value, error }: Extract<Message, { readonly answer: number }>): void {
    const waiting = this.#waiting.get(answer);
    this.#waiting.delete(answer);
    if (error === undefined) waiting?.resolve(value as never);
    else waiting?.reject(transientError("worker-ended", error));
  }
}

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { systemClock, type Clock } from "../clock.ts";
import { Turns } from "./turns.ts";
import { UnreadAnswers } from "./unread-answers.ts";

/** Waits for the caller's next turn. Rejects if the caller has left, or sends too many requests at once. */
export type NextTurn = () => Promise<void>;

type TurnListener = (request: IncomingMessage, response: ServerResponse, nextTurn: NextTurn) => void;

export interface TurnOptions {
  readonly maxUnreadBytes?: number;
  readonly clock?: Clock;
}

/** The maximum number of requests that a client may send on one connection before it has their answers. */
const maxPipelined = 64;

/**
 * Wraps a listener so that it answers one request in every third round of the event loop. It chooses a request of the
 * address whose answers have recently taken the least time (see {@link Turns}).
 *
 * The ports for metrics, readiness and pages are open to everybody, and the process has other work. An answer takes
 * milliseconds, so a thousand requests at once would keep the process busy for seconds. A listener with more work than
 * that waits for further turns. Clients that leave too many bytes of answers unread are disconnected.
 */
export function inTurns(
  listener: TurnListener,
  { maxUnreadBytes, clock = systemClock }: TurnOptions = {},
): RequestListener {
  const turns = new Turns(clock);
  const unread = new UnreadAnswers(clock, maxUnreadBytes);
  const pipelines = new WeakMap<Socket, { size: number; last: Promise<void> }>();
  return (request, response) => {
    const { socket } = request;
    // The address is unknown once the socket has closed.
    const address = socket.remoteAddress ?? "";
    const nextTurn = async (): Promise<void> => {
      const turn = turns.take(address);
      if (turn === undefined) {
        socket.destroy();
        throw new Error("too many requests of this client wait");
      }
      await turn;
      if (socket.destroyed) throw new Error("the client has left");
    };
    const pipeline = pipelines.get(socket) ?? { size: 0, last: Promise.resolve() };
    pipelines.set(socket, pipeline);
    if ((pipeline.size += 1) > maxPipelined) socket.destroy();
    const before = pipeline.last;
    pipeline.last = new Promise((done) =>
      response.once("close", () => {
        pipeline.size -= 1;
        done();
      }),
    );
    unread.watch(socket, response, address);
    // Wait for the earlier answers first, because a finished answer that waits for them would take memory.
    before.then(nextTurn).then(
      () => listener(request, response, nextTurn),
      () => undefined,
    );
  };
}

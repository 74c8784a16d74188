import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { systemClock, type Clock } from "../clock.ts";
import { Turns } from "./turns.ts";
import { UnreadAnswers } from "./unread-answers.ts";

/** Waits for the caller's next turn. Rejects if the caller has left, or if too many of its requests wait. */
export type NextTurn = () => Promise<void>;

type TurnListener = (request: IncomingMessage, response: ServerResponse, nextTurn: NextTurn) => void;

export interface TurnOptions {
  readonly maxUnreadBytes?: number;
  readonly clock?: Clock;
}

/** The maximum number of requests on one connection whose answers the client has not received. */
const maxPipelined = 64;

/**
 * Wraps a listener, so that the server answers one request in every third round of the event loop: one of the address
 * whose answers have recently taken the least time (see {@link Turns}). A listener that needs long for a request awaits
 * `nextTurn` in between. The server disconnects clients that leave too many bytes of answers unread. Ports for metrics,
 * readiness and pages need this, because they are open to everybody and the process has other work. An answer takes
 * milliseconds, so a thousand requests at once would keep the process busy for seconds.
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
    // Read the address now, because a closed socket has none.
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
    // Do not answer before the earlier requests of the connection are answered, because the answer would have to wait
    // in memory.
    before.then(nextTurn).then(
      () => listener(request, response, nextTurn),
      () => undefined,
    );
  };
}

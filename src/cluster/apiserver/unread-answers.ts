import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";

/** The maximum number of unread bytes of all answers together. A list of a large cluster takes tens of megabytes. */
const maxUnreadBytes = 256 * 1024 * 1024;

/** The members of an HTTP/1 or HTTP/2 response that this file uses. */
type Answer = Pick<ServerResponse, "writableLength" | "destroy" | "once"> & {
  readonly req?: Pick<IncomingMessage, "httpVersionMajor" | "socket">;
  readonly stream?: Pick<ServerHttp2Stream, "close">;
};

/**
 * The open answers of each user. If the bound is exceeded, the server ends the longest unread answers of the user with
 * the most unread bytes. Otherwise a user who opens many lists or watches and reads none could fill the server's
 * memory.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  readonly #ofUsers = new Map<string, Set<Answer>>();

  constructor(maxBytes = maxUnreadBytes) {
    this.#maxBytes = maxBytes;
  }

  follow(user: string, answer: Answer): void {
    let answers = this.#ofUsers.get(user);
    if (answers === undefined) this.#ofUsers.set(user, (answers = new Set()));
    const own = answers;
    own.add(answer);
    answer.once("close", () => {
      own.delete(answer);
      if (own.size === 0 && this.#ofUsers.get(user) === own) this.#ofUsers.delete(user);
    });
  }

  /**
   * Ends answers of one user if too many bytes are unread. Returns this user and the number of ended answers, or
   * undefined if it ended none. The caller calls it after a long answer, and also at regular intervals, because the
   * answer of a watch grows later.
   */
  enforce(): { readonly user: string; readonly count: number } | undefined {
    let [total, most, top] = [0, 0, ""];
    for (const [user, answers] of this.#ofUsers) {
      let bytes = 0;
      for (const answer of answers) {
        if (connectionOf(answer)?.destroyed === true) this.#end(user, answer);
        else bytes += answer.writableLength;
      }
      total += bytes;
      if (bytes > most) [most, top] = [bytes, user];
    }
    if (total <= this.#maxBytes) return undefined;
    const answers = [...(this.#ofUsers.get(top) ?? [])].toSorted(
      (left, right) => right.writableLength - left.writableLength,
    );
    let count = 0;
    for (const answer of answers) {
      // End answers down to half of the limit, so that the next answer does not exceed it again at once.
      if (total <= this.#maxBytes / 2 || answer.writableLength === 0) break;
      total -= answer.writableLength;
      this.#end(top, answer);
      count += 1;
    }
    return { user: top, count };
  }

  /**
   * Ends an answer, and forgets it at once. The answer's close event comes later, and a call before it must not count
   * the answer again.
   */
  #end(user: string, answer: Answer): void {
    const answers = this.#ofUsers.get(user);
    answers?.delete(answer);
    if (answers?.size === 0) this.#ofUsers.delete(user);
    connectionOf(answer)?.destroy();
    // End the stream with an error. Otherwise the client would mistake an incomplete list for a complete one.
    answer.stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    answer.destroy();
  }
}

/**
 * The connection of an answer over HTTP/1. Returns undefined for HTTP/2. It is the connection of the request, because
 * the answer to a pipelined request has no socket until earlier answers on the connection have been read. Such an
 * answer can neither close its connection nor notice that the connection has closed.
 */
function connectionOf({ req }: Answer): IncomingMessage["socket"] | undefined {
  return req?.httpVersionMajor === 1 ? req.socket : undefined;
}

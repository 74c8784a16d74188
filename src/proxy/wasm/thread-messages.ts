import type { MessagePort } from "node:worker_threads";
import type { AnswerMark } from "./answer-mark.ts";
import type { CompiledModule } from "./engine.ts";
import type { HostRequest, MachineAnswer, MachineCall, MachineOptions } from "./messages.ts";

export interface ThreadStart {
  readonly module: CompiledModule;
  readonly options: MachineOptions;
  readonly logLevel: number;
  /**
   * Carries the requests whose answer the module waits for. A mark in shared memory shows that the answer has arrived.
   */
  readonly questions: MessagePort;
  readonly answered: AnswerMark;
}

export type ToThread = MachineCall;

export type FromThread =
  | { readonly kind: "answer"; readonly answer: MachineAnswer }
  | { readonly kind: "tell"; readonly request: HostRequest }
  | { readonly kind: "failed"; readonly message: string };

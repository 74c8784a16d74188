import { readDocuments } from "../../../analyze/index.ts";
import { messageOf } from "../../../base/index.ts";
import { answerTasks } from "../../../base/threads/worker/index.ts";
import type { ReadYamlReply } from "./yaml-threads.ts";

answerTasks<string, ReadYamlReply>({
  answer: async (text) => {
    try {
      return { documents: await readDocuments(text) };
    } catch (error) {
      return { fault: messageOf(error) };
    }
  },
});

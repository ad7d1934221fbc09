// Where texts are kept between runs.
/** Named texts that outlive the process or the page. */
export interface TextStore {
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}

/* See promises.h. */
#include "harness/drive/promises.h"

void promises_note(enum history_ack ack, struct case_result *c)
{
	if (ack == HISTORY_ACK_LOCK)
		case_result_note(c, "promises are read from the lock protocol and may be earlier "
				    "than the program's own");
	else if (ack == HISTORY_ACK_OUTPUT)
		case_result_note(c, "promises are the program's outputs: each promises what was "
				    "committed before it");
	else if (ack == HISTORY_ACK_MARK)
		case_result_note(c, "promises are the program's marks: each promises what was "
				    "committed before it");
}

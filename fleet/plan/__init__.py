"""What a roll will do to which family, told from Pulumi's preview for somebody who has to approve it."""
